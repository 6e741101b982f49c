"""The numbers of quantised backpropagation: 8-bit values, 16-bit gradients with a real unit, stochastic steps."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.oracle.learner.head import LEVELS, Factor, noise16

MAX_MASTER = 1 << 30  # M, N, A, P
MAX_GRADIENT = 32767
MAX_WEIGHT = 127


@dataclass(frozen=True)
class Gradient:
    """dL/dv = unit · levels; levels within ±32767."""

    levels: Tensor
    unit: float


@dataclass(frozen=True)
class Levels:
    """The 8-bit quantiser of a value with a calibrated range, zero on its grid."""

    step: float
    zero: int

    @classmethod
    def of(cls, low: float, high: float) -> "Levels":
        bounds = torch.tensor([min(low, 0.0), max(high, 0.0)])  # float32, as in the file
        step = (bounds[1] - bounds[0]) / LEVELS
        return cls(float(step), int(torch.round(-bounds[0] / step)))

    def __call__(self, codes: Tensor) -> Tensor:
        """Rounded values / step, saturated."""
        return (codes + self.zero).clamp(0, LEVELS) - self.zero


def round_shift(v: Tensor, shift: int) -> Tensor:
    """v / 2^shift, to nearest, halves to even.

    Example:
        >>> round_shift(torch.tensor([3, 5, -6]), 1)
        tensor([ 2,  2, -3])
    """
    if shift == 0:
        return v
    return (v + (1 << (shift - 1)) - 1 + ((v >> shift) & 1)) >> shift


def normalise(total: Tensor, unit: float) -> Gradient | None:
    """unit · total with 16 bits; None if it is all zero.

    Example:
        >>> normalise(torch.tensor([1 << 20, -32]), 1.0)
        Gradient(levels=tensor([16384,     0]), unit=64.0)
    """
    maximum = int(total.abs().max())
    shift = max(0, maximum.bit_length() - 15)
    unit = unit * 2.0**shift
    if maximum == 0 or not 0 < unit < math.inf:
        return None
    return Gradient(round_shift(total, shift).clamp(-MAX_GRADIENT, MAX_GRADIENT), unit)


def add(first: Gradient | None, second: Gradient | None) -> Gradient | None:
    """The sum of two contributions; the one with the smaller unit is brought to the other's."""
    if first is None or second is None:
        return second if first is None else first
    big, small = (first, second) if first.unit >= second.unit else (second, first)
    ratio = math.floor(small.unit / big.unit * 65536)
    return normalise((big.levels << 16) + small.levels * ratio, big.unit * 2.0**-16)


def stochastic_8_bits(product: Tensor, key: int) -> tuple[Tensor, float]:
    """h, within −128 … 127, and what one of it is worth in units of ``product``, which is not all zero."""
    shift = int(product.abs().max()).bit_length() - 30

    def scaled(v: Tensor) -> Tensor:
        return v >> shift if shift >= 0 else v << -shift

    inverse = (MAX_WEIGHT << 39) // int(scaled(product.abs().max()))
    noise = noise16(key, product.numel()).reshape(product.shape)
    return (scaled(product) * inverse + (noise << 23)) >> 39, 2.0**shift * (2.0**39 / inverse)


def stepped(masters: Tensor, sums: Tensor, rate: float, key: int, first: int, maximum: int) -> Tensor:
    """masters − floor(rate · sums + u), saturated; the entries' noise has the indices from ``first`` on."""
    shift = max(0, int(sums.abs().max()).bit_length() - 31)
    rate = rate * 2.0**shift
    factor = Factor.of(rate if 0 < rate < math.inf else 0.0)
    noise = noise16(key, first + sums.numel())[first:].reshape(sums.shape)
    update = (factor.multiply(sums >> shift, 16) + noise) >> 16
    return torch.where(sums == 0, masters, (masters - update).clamp(-maximum, maximum))


def fixed(value: NDArray[np.float64] | float, maximum: int = MAX_MASTER) -> Tensor:
    return torch.as_tensor(np.rint(np.clip(value, -maximum, maximum))).long()
