"""BatchNorm behind a binary product, in closed form and in double precision, a few numbers per channel.

The product y of ±1 by ±1 is an integer, so its sums over the batch are exact. With a scale α of the channel, BatchNorm
makes of it

    z = γ (α y − α mean) / s + β = slope y + offset,    s = √(α² var + ε),    r = α / s,    slope = γ r

and of the gradient dz = dL/dz over m values, with Z₀ = Σ dz and Z₁ = Σ dz (y − mean):

    dL/dβ = Z₀,    dL/dγ = r Z₁,    dL/dα = γ ε Z₁ / s³
    dL/dy = γ r (dz − Z₀ / m − r² (y − mean) Z₁ / m) = k₀ dz + k₁ y + k₂

dL/dα is what is left of the difference of two large numbers, if one sums dL/dy y instead.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class BatchStatistics:
    """Mean and variance of a product over the batch.

    Args:
        count: m, how many values a channel has.
        mean, variance: (C,), the variance with the divisor m.
    """

    count: int
    mean: Doubles
    variance: Doubles

    @classmethod
    def of_sums(cls, count: int, sums: NDArray[np.int64]) -> "BatchStatistics":
        """From Σ y and Σ y², (2, C).

        Example:
            >>> BatchStatistics.of_sums(4, np.array([[8], [20]])).variance
            array([1.])
        """
        centre = sums[0] // count  # around it the squares are small: no digits are lost
        first = sums[0] - centre * count
        second = sums[1] - centre * (2 * sums[0] - centre * count)
        mean = first / count
        return cls(count, centre + mean, (second - first * mean) / count)


@dataclass(frozen=True)
class Normalization:
    """BatchNorm with given statistics.

    Args:
        statistics: of y.
        alpha, gamma, beta: (C,).
        epsilon: ε.
    """

    statistics: BatchStatistics
    alpha: Doubles
    gamma: Doubles
    beta: Doubles
    epsilon: float

    @cached_property
    def deviation(self) -> Doubles:
        """s."""
        return np.sqrt(self.alpha**2 * self.statistics.variance + self.epsilon)

    @cached_property
    def slope(self) -> Doubles:
        """γ r."""
        return self.gamma * self.alpha / self.deviation

    @cached_property
    def offset(self) -> Doubles:
        """β − slope mean."""
        return self.beta - self.slope * self.statistics.mean

    def coefficients(self, sums: Doubles) -> Doubles:
        """k₀, k₁ and k₂, (3, C), from Z₀ and Z₁, (2, C), over the whole batch."""
        share = (self.alpha / self.deviation) ** 2 * sums[1] / self.statistics.count
        constant = share * self.statistics.mean - sums[0] / self.statistics.count
        return self.slope * np.stack([np.ones_like(share), -share, constant])

    def gamma_gradient(self, sums: Doubles) -> Doubles:
        """dL/dγ, (C,)."""
        return self.alpha / self.deviation * sums[1]

    def alpha_gradient(self, sums: Doubles) -> Doubles:
        """dL/dα, (C,)."""
        return self.gamma * self.epsilon / self.deviation**3 * sums[1]
