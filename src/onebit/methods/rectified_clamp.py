"""ReCU's rectified clamp: a quantile of the weights, and the course of τ.

Of weights that follow a Laplace distribution of mean 0, whose scale is then E|w|, Q(τ) is the τ-quantile.

Reference: Xu et al., "ReCU: Reviving the Dead Weights in Binary Neural Networks", ICCV 2021, arXiv 2103.12369.
"""

import math

import torch
from torch import Tensor

TAU = (0.85, 0.99)
"""τ at the start and at the end of training."""


def tau_at(t: int, total: int, tau: tuple[float, float] = TAU) -> float:
    """τ = τ₀ + (τ₁ − τ₀) (e^(t/N) − 1) / (e − 1).

    Args:
        t: iteration.
        total: N.
        tau: τ₀ and τ₁.

    Example:
        >>> [round(tau_at(t, 4), 3) for t in range(5)]
        [0.85, 0.873, 0.903, 0.941, 0.99]
    """
    start, end = tau
    return start + (end - start) * math.expm1(t / total) / (math.e - 1)


def quantile(w: Tensor, tau: Tensor) -> Tensor:
    """Q = −ln(2 − 2τ) · mean|w|; no gradient flows to it.

    Args:
        w: floating point, any shape, with mean 0.
        tau: scalar, ½ ≤ τ < 1.

    Returns:
        a scalar.

    Example:
        >>> quantile(torch.tensor([-1.0, 1.0]), torch.tensor(0.75))
        tensor(0.6931)
    """
    return -torch.log(2 - 2 * tau) * w.detach().abs().mean()
