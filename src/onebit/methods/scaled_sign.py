"""CycleBNN's steps 1 to 4 in one: scale, quantise, binarise.

Weights and activations go through the same steps: x₁ = γ x / D with D = √(var + 1e-5) of each slice along dimension 0
(an output channel or a sample), then b bits, then the sign. With d = dL/dx₁, m the mean and k the number of elements of
a slice:

    dL/dx = γ (d / D − (x − m) Σ(d x) / (D³ (k − 1)))

One autograd function that reuses its temporaries spares a CPU most passes over memory of the steps composed.
"""

import math
from typing import Any

import torch
from torch import Tensor

from onebit.methods.rectified_clamp import quantile
from onebit.quantize import ApproxSign, sign
from onebit.quantize.uniform import measure, step_size

EPSILON = 1e-5
WEIGHT_GAIN = 2 * math.sqrt(2)
APPROX_SIGN = ApproxSign()


def activation_sign(a: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Steps 2 to 4 in training.

    Args:
        a: (N, ...), floating point.
        bits: b_t.

    Returns:
        ±1 in the shape and dtype of ``a``, with the gradient max(0, 2 − 2|x̂|) and then that of the scaling; and
        without gradient minimum and range of a₀ (scalars) and D (N, 1, ...), in float32 or ``a``'s dtype, if that is
        wider.

    Example:
        >>> y, minimum, extent, deviation = activation_sign(torch.tensor([[-1.0, -1.0, 1.0, 3.0]]), bits=2)
        >>> y, deviation
        (tensor([[-1., -1.,  1.,  1.]]), tensor([[1.9149]]))
    """
    return _ScaledSign.apply(a, bits, 1.0, None, True)


def weight_sign(w: Tensor, bits: int, tau: Tensor | None = None) -> Tensor:
    """Steps 1, 3 and 4.

    Args:
        w: (O, ...), floating point.
        bits: b_t.
        tau: adds ReCU's clamp to ±Q(τ) after step 1.

    Returns:
        ±1 in the shape and dtype of ``w``, with the gradient of the standardisation (0 where clamped).

    Example:
        >>> weight_sign(torch.tensor([[-1.0, 0.1], [0.0, 2.0]]), bits=4)
        tensor([[-1.,  1.],
                [ 1.,  1.]])
    """
    return _ScaledSign.apply(w, bits, WEIGHT_GAIN, tau, False)[0]


class _ScaledSign(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, bits: int, gain: float, tau: Tensor | None, activation: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # half-precision floats have too few bits for the levels
        work = x.to(torch.promote_types(x.dtype, torch.float32))
        mean, deviation, scaled = _center(work)
        scaled = torch.div(work, deviation, out=_reused(scaled)).mul_(gain)
        limit = None
        if tau is not None:
            limit = quantile(scaled, tau)
            scaled.clamp_(-limit, limit)
        minimum, extent = measure(scaled, None if activation else 0)
        step = step_size(bits, extent)
        levels = scaled.sub_(minimum).div_(step).clamp_(0, 2**bits - 1).round_().mul_(step).add_(minimum)
        ctx.save_for_backward(x, mean, deviation, limit, levels if activation else None)
        ctx.gain = gain
        ctx.mark_non_differentiable(minimum, extent, deviation)
        return sign(levels).to(x.dtype), minimum, extent, deviation

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, mean, deviation, limit, levels = ctx.saved_tensors
        work = x.to(mean.dtype)
        if levels is not None:
            d = APPROX_SIGN.derivative(levels).mul_(gradient)
        elif limit is not None:
            d = (work / deviation).mul_(ctx.gain).abs_().le_(limit).mul_(gradient)
        else:
            d = gradient.to(mean.dtype, copy=True)
        dims = tuple(range(1, x.dim()))
        product = d * work
        share = product.sum(dims, keepdim=True) / (deviation**3 * max(x[0].numel() - 1, 1))
        d.div_(deviation).sub_(torch.sub(work, mean, out=_reused(product)).mul_(share)).mul_(ctx.gain)
        return d.to(x.dtype), None, None, None, None


def _reused(memory: Tensor) -> Tensor | None:
    """What to write to; a compiler plans memory itself."""
    return None if torch.compiler.is_compiling() else memory


def _center(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and D of each slice, and x − mean. By the norm, since torch.var is slow on a CPU."""
    dims = tuple(range(1, x.dim()))
    mean = x.mean(dims, keepdim=True)
    centred = x - mean
    square = torch.linalg.vector_norm(centred, dim=dims, keepdim=True).square_()
    return mean, square.div_(max(x[0].numel() - 1, 1)).add_(EPSILON).sqrt_(), centred
