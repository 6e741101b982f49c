"""RBONN's weight quantisers: a recurrent latent weight, its sign, a learned scale a channel.

The equations stand in :mod:`onebit.methods.rbonn`.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from onebit.quantize import OutputForm, output_form

GAIN = 0.02
"""Of the released code's forward weight."""


class RecurrentSign(nn.Module, ABC):
    """Base of the two variants: ±α_c from the sign of a latent weight to which the iteration before it returns.

    Args:
        weight: (C, ...), the layer's latent weight.
        sign: from a tensor to ±1; the gradient passes it as if it were the identity.
        tau: τ, from 0 to 1.
        u: u_c at the start.

    Attributes:
        u: (C,), learned.
        previous: of the shape of ``weight``: what the recurrence returns to, zeros before the first update.
    """

    precision = 1
    previous: Tensor

    def __init__(self, weight: Tensor, sign: nn.Module, tau: float, u: float) -> None:
        super().__init__()
        self.sign = sign
        self.tau = tau
        self.u = nn.Parameter(weight.new_full((len(weight),), u))
        self.register_buffer("previous", torch.zeros_like(weight))
        self._returns = False

    @property
    @abstractmethod
    def scale(self) -> nn.Parameter:
        """(C,), learned: s, or the paper's A."""

    @abstractmethod
    def alpha(self) -> Tensor:
        """(C,), what the signs are multiplied by."""

    @abstractmethod
    def mask(self) -> Tensor:
        """(C,), 1 for the channels that the Density-ReLU lets through, else 0."""

    @abstractmethod
    def recurrent(self, w: Tensor) -> Tensor:
        """w̃, of the shape of ``w``."""

    def straight_through(self, w: Tensor) -> Tensor:
        """The sign of ``w``, whose gradient is the identity's."""
        return _StraightThrough.apply(w, self.sign(w.detach()))

    @abstractmethod
    def bilinear_loss(self, w: Tensor) -> Tensor:
        """The scalar that λ multiplies."""

    @abstractmethod
    def remember(self, weight: nn.Parameter) -> None:
        """Takes what the next iteration returns to, when the gradient of ``weight`` is complete."""

    def drop_idle_gradient(self) -> None:
        """Takes u's gradient away while there is nothing to return to: of zeros, Adam would count a step."""
        self._returns = self._returns or bool(self.previous.any())  # asks the device no longer, once it is so
        if not self._returns:
            self.u.grad = None

    def extra_repr(self) -> str:
        return f"tau={self.tau}"


class ReleasedRecurrentSign(RecurrentSign):
    """The released code's: the previous gradient, within the forward pass of training only.

    Forward: q(w) = 0.02 |s_c| sign(w̃), w̃ = w − u_c m_c ∇, with ∇ the gradient of w in the iteration before and m_c = 1
    for the ⌊C (1 − τ)⌋ channels of the smallest |s|. In evaluation w̃ = w.

    Gradient: with g = dL/dq, dw̃ = g |s_c| and d|s_c| = Σ g w̃.

    Args:
        weight, sign, tau, u: see :class:`RecurrentSign`.
        by_rank: False takes argsort's indices for ranks, as the released code does: a control.

    Reference: arXiv 2209.01542, released code.

    Example:
        >>> from onebit.quantize import IdentitySign
        >>> w = torch.tensor([[-2.0, 0.5], [0.0, 1.0]])
        >>> quantizer = ReleasedRecurrentSign(w, IdentitySign(), tau=0.5, u=0.2)
        >>> _ = quantizer.s.data.copy_(torch.tensor([-1.0, 3.0]))
        >>> quantizer(w).detach()
        tensor([[-0.0200,  0.0200],
                [ 0.0600,  0.0600]])
        >>> quantizer.mask()
        tensor([1., 0.])
    """

    def __init__(self, weight: Tensor, sign: nn.Module, tau: float, u: float, by_rank: bool = True) -> None:
        super().__init__(weight, sign, tau, u)
        self.by_rank = by_rank
        self.s = nn.Parameter(torch.randn(len(weight)).to(weight))

    @property
    def scale(self) -> nn.Parameter:
        return self.s

    def alpha(self) -> Tensor:
        return GAIN * self.s.abs()

    def mask(self) -> Tensor:
        return (ranks(self.s.abs(), self.by_rank) < _count(len(self.s), 1 - self.tau)).to(self.s)

    def recurrent(self, w: Tensor) -> Tensor:
        return w - channelwise(self.u * self.mask(), w) * self.previous if self.training else w

    def forward(self, w: Tensor) -> Tensor:
        w = self.recurrent(w)
        return _ReleasedScale.apply(self.straight_through(w), w.detach(), channelwise(self.s.abs(), w))

    def bilinear_loss(self, w: Tensor) -> Tensor:
        """½ ‖w̃ − 0.02 |s| sign(w̃)‖²."""
        w = self.recurrent(w)
        return 0.5 * (w - GAIN * channelwise(self.s.abs(), w) * self.sign(w.detach())).square().sum()

    @torch.no_grad()
    def remember(self, weight: nn.Parameter) -> None:
        if weight.grad is not None:  # a frozen weight has none
            # a gradient scaler skips the update of a gradient that overflowed, so nothing must return to it
            self.previous.copy_(torch.where(weight.grad.isfinite().all(), weight.grad, self.previous))


class PaperRecurrentSign(RecurrentSign):
    """The paper's: the previous weight, which lasts.

    Forward: q(w) = sign(ŵ) / |A_c|, ŵ = w + |u_c| m_c w⁻, with w⁻ the weight ŵ of the iteration before and m_c = 1 for
    the channels whose |A_c| is among the C − ⌊C τ⌋ largest and whose ‖w⁻_c‖₁ is not.

    Gradient: with g = dL/dq, dŵ = g / |A_c|; dA and du by the chain rule.

    Args:
        weight, sign, tau, u: see :class:`RecurrentSign`.

    Reference: arXiv 2209.01542.

    Example:
        >>> from onebit.quantize import IdentitySign
        >>> w = torch.tensor([[-2.0, 0.5], [0.0, 1.0]])
        >>> quantizer = PaperRecurrentSign(w, IdentitySign(), tau=0.5, u=0.2)
        >>> quantizer(w).detach()
        tensor([[-1.2500,  1.2500],
                [ 0.5000,  0.5000]])
        >>> quantizer.remember(nn.Parameter(w))
        >>> quantizer.mask(), quantizer.recurrent(w).detach()  # A and density are largest in different channels
        (tensor([0., 1.]), tensor([[-2.0000,  0.5000],
                [ 0.0000,  1.2000]]))
    """

    def __init__(self, weight: Tensor, sign: nn.Module, tau: float, u: float) -> None:
        super().__init__(weight, sign, tau, u)
        alpha = weight.detach().abs().flatten(1).mean(1)
        self.a = nn.Parameter(alpha.clamp_min(1e-8).reciprocal())

    @property
    def scale(self) -> nn.Parameter:
        return self.a

    def alpha(self) -> Tensor:
        return 1 / self.a.abs()

    def mask(self) -> Tensor:
        lowest = _count(len(self.a), self.tau)
        dense = ranks(self.previous.abs().flatten(1).sum(1)) >= lowest
        return (~dense & (ranks(self.a.abs()) >= lowest)).to(self.a)

    def recurrent(self, w: Tensor) -> Tensor:
        return w + channelwise(self.u.abs() * self.mask(), w) * self.previous

    def forward(self, w: Tensor) -> Tensor:
        w = self.recurrent(w)
        return self.straight_through(w) / channelwise(self.a.abs(), w)

    def bilinear_loss(self, w: Tensor) -> Tensor:
        """‖sign(ŵ) − |A| ŵ‖², of which no gradient flows to u."""
        w = w + (self.recurrent(w) - w).detach()
        return (self.sign(w.detach()) - channelwise(self.a.abs(), w) * w).square().sum()

    @torch.no_grad()
    def remember(self, weight: nn.Parameter) -> None:
        self.previous.copy_(self.recurrent(weight))
        weight.copy_(self.previous)


class _StraightThrough(torch.autograd.Function):
    """The value b, with the gradient of w."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, b: Tensor) -> Tensor:
        return b.view_as(b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return g, None


class _ReleasedScale(torch.autograd.Function):
    """0.02 |s| b, with the gradients |s| g to the signs b and Σ g w to |s|."""

    @staticmethod
    def forward(ctx: Any, b: Tensor, w: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(w, scale)
        return b * (GAIN * scale)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, Tensor]:
        w, scale = ctx.saved_tensors
        return g * scale, None, (g * w).sum(tuple(range(1, w.dim())), keepdim=True)


def ranks(x: Tensor, by_rank: bool = True) -> Tensor:
    """The place of each element in rising order, from 0; the earlier of two equal ones first.

    Args:
        x: (C,).
        by_rank: False returns argsort's indices, which are not the ranks.

    Example:
        >>> x = torch.tensor([0.5, 0.9, 0.1])
        >>> ranks(x), ranks(x, by_rank=False)
        (tensor([1, 2, 0]), tensor([2, 0, 1]))
    """
    order = x.detach().argsort(stable=True)
    return order.argsort() if by_rank else order


def channelwise(values: Tensor, w: Tensor) -> Tensor:
    """``values`` (C,), one an output channel (dimension 0) of ``w``, in a shape that broadcasts against it."""
    return values.view(-1, *[1] * (w.dim() - 1))


def _count(channels: int, share: float) -> int:
    """⌊C · share⌋, not one less because 0.29 · 100 lies under 29 in floating point."""
    return int(channels * share + 1e-6)


class UnscaledGradient(nn.Module):
    """Shows a module behind the layer's product the gradient that it would have before the scale α_c.

    Forward: y = module(x).

    Gradient: the module's, of α_c g instead of g, divided by α_c.

    A gradient quantiser with one range a tensor needs it: channels of a small scale have large gradients, beside which
    those of the others would vanish.

    Args:
        module: identity forward, and of each element's gradient backward.
        quantizer: has α.

    Example:
        >>> from onebit.quantize import GradientQuantizer, IdentitySign
        >>> quantizer = PaperRecurrentSign(torch.tensor([[1.0], [2**-10]]), IdentitySign(), 0.6, 0.2)
        >>> x = torch.zeros(1, 2, requires_grad=True)
        >>> UnscaledGradient(GradientQuantizer(2), quantizer)(x).backward(torch.tensor([[3.0, 1024.0]]))
        >>> x.grad
        tensor([[   3., 1024.]])
    """

    def __init__(self, module: nn.Module, quantizer: RecurrentSign) -> None:
        super().__init__()
        self.module = module
        self._of = (quantizer,)  # a tuple, since it is the layer's submodule and not this one's

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.module(x)
        alpha = self._of[0].alpha().detach().clamp_min(1e-12).view(-1, *[1] * (x.dim() - 2))
        return _ScaleGradient.apply(self.module(_ScaleGradient.apply(x, 1 / alpha)), alpha)

    def closed_form(self) -> OutputForm | None:
        form = output_form(self.module)
        return form and replace(form, of_product=True)


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return (g * factor).to(g.dtype), None
