"""Few bits in the backward pass: the stochastic gradient quantiser."""

from typing import Any

import torch
from torch import Tensor

from onebit.quantize.bits import KBitQuantizer, check_bits
from onebit.quantize.closed_form import OutputForm


def stochastic_quantize(g: Tensor, bits: int) -> Tensor:
    """Quantises a tensor over its own range with stochastic rounding, which leaves its expectation unchanged.

    Forward: ĝ = q s + min with q = min(⌊(g − min) / s + u⌋, 2^b − 1), s = (max − min) / (2^b − 1), u uniform in [0, 1).

    A constant tensor, zeros included, is returned as it is. CycleBNN's code bounds s below by 1e-8, so that gradients
    with a range under 1e-8 (2^b − 1) have fewer than b bits; here only the smallest normal float bounds it. The noise
    comes from torch's default generator, so that a seed, or a checkpoint of its state, reproduces it.

    Args:
        g: any shape.
        bits: b, 1 to 24.

    Returns:
        ĝ in the shape and dtype of ``g``.

    Raises:
        OnebitError: another number of bits.

    Example:
        >>> g = torch.tensor([-1.0, -0.5, 0.0, 2.0])
        >>> stochastic_quantize(g, 2).sub(g).abs().max() < 1  # a step
        tensor(True)
    """
    highest = 2 ** check_bits(bits) - 1
    # half-precision floats have too few bits for the levels and the noise
    work = g.to(torch.promote_types(g.dtype, torch.float32))
    minimum, maximum = work.aminmax()
    scale = ((maximum - minimum) / highest).clamp_min(torch.finfo(work.dtype).tiny)
    levels = (work - minimum).div_(scale).add_(torch.rand_like(work)).floor_().clamp_max_(highest)
    return levels.mul_(scale).add_(minimum).to(g.dtype)


class _QuantizeGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int) -> Tensor:
        ctx.bits = bits
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return stochastic_quantize(gradient, ctx.bits), None


def quantize_gradient(x: Tensor, bits: int) -> Tensor:
    """The identity, whose incoming gradient goes through :func:`stochastic_quantize`.

    Forward: y = x.

    Gradient: dL/dx = ĝ, the quantised g = dL/dy.

    ![forward and gradient](images/gradient.svg)

    Args:
        x: any shape.
        bits: width of the gradient, 1 to 24.

    Returns:
        a view of ``x``.

    Raises:
        OnebitError: another number of bits.

    Reference: Fontana et al., "CycleBNN", arXiv 2410.00050; Banner et al., "Scalable Methods for 8-bit Training of
    Neural Networks", NeurIPS 2018, arXiv 1805.11046.

    Example:
        >>> x = torch.zeros(3, requires_grad=True)
        >>> (quantize_gradient(x, 1) * torch.tensor([-1.0, 0.2, 1.0])).sum().backward()
        >>> x.grad.abs()  # one bit: only the minimum and the maximum remain
        tensor([1., 1., 1.])
    """
    return _QuantizeGradient.apply(x, check_bits(bits))


class GradientQuantizer(KBitQuantizer):
    """:func:`quantize_gradient` as a module.

    Forward: y = x.

    Gradient: dL/dx = ĝ, the stochastically quantised g = dL/dy.

    ![forward and gradient](images/gradient.svg)

    Args:
        bits: width of the gradient, 1 to 24; may be set at any time.

    Reference: Fontana et al., "CycleBNN", arXiv 2410.00050.

    Example:
        >>> GradientQuantizer(bits=8)(torch.tensor([0.1, 0.2]))
        tensor([0.1000, 0.2000])
    """

    delegated = False  # whether what computes x quantises its gradient to ``bits`` itself

    def forward(self, x: Tensor) -> Tensor:
        return x if self.delegated else quantize_gradient(x, self.bits)

    def closed_form(self) -> OutputForm:
        return OutputForm(quantizer=self)
