"""RBONN: recurrent bilinear optimisation of binary networks.

Xu et al., "Recurrent Bilinear Optimization for Binary Neural Networks", ECCV 2022, arXiv 2209.01542. The paper and its
released code differ; ``variant`` chooses, and each is reported under its own name.

L_S is the loss of the task; w a layer's latent weight, with channels c = 1 … C of its output; u_c is learned per
channel and starts at 0.2; 0 ≤ τ ≤ 1.

**Paper.** Binary weights scaled by α_c = 1 / A_c are to lie close to the latent ones, w ≈ sign(w) / A:

    min L_S + λ G,    G(w, A) = ‖sign(w) − A w‖²,    A ← |A − η₁ ∂L/∂A|

As A depends on w, the gradient of w lacks a term. In its place, iteration t starts from

    ŵᵗ = wᵗ + U ∘ DReLU(ŵᵗ⁻¹, A),    wᵗ ← ŵᵗ,    wᵗ⁺¹ = ŵᵗ − η₂ ∂L/∂ŵᵗ,    U ← |U − η₃ ∂L_S/∂U|

    DReLU(ŵ_c, A_c) = ŵ_c if rank(A_c) > ⌊Cτ⌋ and rank(‖ŵ_c‖₁) ≤ ⌊Cτ⌋, else 0        ranks rise from 1 to C

so channels with a large A (a small scale) and sparse weights return to their previous state. ∂L/∂U_c = Σ ∂L_S/∂ŵᵗ ∘
DReLU(ŵᵗ⁻¹, A), over the channel. All gradients are autograd's, that of the sign in L_S being the identity.

**Released.** The scale itself is learned, as s_c from N(0, 1), and the *gradient* of the iteration before returns,
within the forward pass of training only:

    w̃ᵗ = wᵗ − u_c m_c ∂L/∂wᵗ⁻¹,    m_c = 1 for the ⌊C (1 − τ)⌋ channels of the smallest |s_c|, else 0

    forward weight:  0.02 |s_c| sign(w̃),    evaluation:  0.02 |s_c| sign(w)

With g the gradient at the forward weight and b = 0.02 sign(w̃):

    ∂L/∂w = g |s_c| + λ (w̃ − b |s_c|)          no clipping; the factor 0.02 is left out
    ∂L/∂|s_c| = Σ g w̃ − λ Σ (w̃ − b |s_c|) b    over the channel
    ∂L/∂u_c = −m_c Σ ∂L/∂w ∂L/∂wᵗ⁻¹            over the channel

The terms of λ are the gradient of ½ λ ‖w̃ − b |s|‖², with b held fixed. They are added as this term of the loss, and
not inside the layer, so that averages over batches and processes and a gradient scaler treat them as the rest.

**Controls.** τ = 1 switches the recurrence off, in both. ``ranking="argsort"`` takes argsort's indices for ranks, as
the released code does: the right number of channels, and the wrong ones.

**Readings and departures.** G's further regulariser R(w) is left to the optimiser's weight decay. Where the paper's
indices of U and A disagree between the update and the gradient of U, both are taken as they are in iteration t. The
paper's ŵ also answers in evaluation. |A|, |U| and |s| stand where the parameters are used, which under gradient descent
is the same as the absolute value after each update; the released code has none for U, and neither has its variant here.
A starts at 1 / mean|w_c|, u at 0.2 in both variants. λ = 1e-4 is the released code's; G is in the units of A w and so
about A² times as large as the released term, hence 1e-6 in the paper's variant. Of equal values the earlier channel's
has the lower rank. The released code reads ``weight.grad``, which other processes, ``zero_grad`` or a gradient scaler
empty or change: here the layer keeps ``weight_quantizer.previous``, once an optimiser's step, from the whole
accumulated gradient. A gradient that is not finite does not enter it. In the first iteration, in which there is nothing
to return to, u has no gradient, as in the released code. Its learning rate falls by the epoch, ours by the iteration.

The inputs' quantisers stay those of the model; both variants were published with ReActNet's. Training in two steps, the
first with real-valued weights, is a matter of two recipes.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from onebit.cost.rule import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method, ParameterGroup, require_binary_layers
from onebit.nn import BinaryLayer, ChannelScale
from onebit.quantize import BinaryQuantizer, IdentitySign, OutputForm, output_form

GAIN = 0.02
"""Factor of the forward weight in the released code."""
BILINEAR_WEIGHT = {"paper": 1e-6, "released": 1e-4}
Variant = Literal["paper", "released"]
Ranking = Literal["true", "argsort"]


class RBONN(Method):
    """Recurrent bilinear optimisation; see the module's page for the equations.

    Attached after a method with a weight quantiser of ±1, it keeps that quantiser as its sign, and its scale replaces a
    learned scale of the layer's output (see :mod:`onebit.methods.compose`).

    Args:
        variant: that of the ``paper``, or that of its ``released`` code.
        tau: τ: the share of the channels to which the recurrence does not apply; 1 switches it off.
        bilinear_weight: λ; None for the variant's value in ``BILINEAR_WEIGHT``.
        initial_u: u at the start.
        u_lr_factor: u's learning rate, as a factor of the optimiser's.
        ranking: ``true``, or the released code's ``argsort``, for comparison.

    Raises:
        OnebitError: another variant or ranking, τ outside 0 to 1, a negative λ, ``argsort`` with the paper's variant;
            and ``attach`` for a network without binary layers, or whose weights have more than one bit.

    Example:
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> method = RBONN(variant="released", tau=0.6)
        >>> method.attach(net)
        >>> net[0].quantized_weight().abs().flatten(1).std(1).max() < 1e-6  # one scale per channel
        tensor(True)
        >>> [len(group.parameters) for group in method.parameter_groups()]  # u, s
        [1, 1]
    """

    def __init__(
        self,
        variant: Variant = "released",
        tau: float = 0.6,
        bilinear_weight: float | None = None,
        initial_u: float = 0.2,
        u_lr_factor: float = 0.1,
        ranking: Ranking = "true",
    ) -> None:
        for name, value, known in (("variant", variant, Variant), ("ranking", ranking, Ranking)):
            if value not in get_args(known):
                raise OnebitError(f"RBONN: no {name} '{value}'", hint=f"choose from {', '.join(get_args(known))}")
        if not 0 <= tau <= 1:
            raise OnebitError(f"RBONN: tau is {tau}", hint="a share from 0 to 1; 1 switches the recurrence off")
        if bilinear_weight is None:
            bilinear_weight = BILINEAR_WEIGHT[variant]
        if bilinear_weight < 0:
            raise OnebitError(f"RBONN: bilinear_weight is {bilinear_weight}", hint="it must be zero or more")
        if variant == "paper" and ranking == "argsort":
            raise OnebitError(
                "RBONN: ranking 'argsort' is a control of the released code", hint="take variant released"
            )
        self.variant = variant
        self.tau = tau
        self.bilinear_weight = bilinear_weight
        self.initial_u = initial_u
        self.u_lr_factor = u_lr_factor
        self.ranking = ranking
        self._layers: list[BinaryLayer] = []

    def attach(self, net: nn.Module) -> None:
        self._layers = require_binary_layers(net, "RBONN")
        for layer in self._layers:
            quantizer = self._quantizer(layer)
            others = _without_scale(layer.output_transform)
            layer.weight_quantizer = quantizer
            layer.output_transform = UnscaledGradient(others, quantizer) if len(others) else nn.Identity()

    def step(self, t: int, total: int) -> None:
        if not all(isinstance(layer.weight_quantizer, RecurrentSign) for layer in self._layers):
            raise OnebitError("RBONN: another method has replaced its weight quantisers", hint="attach RBONN after it")

    def loss(self, loss: Tensor) -> Tensor:
        terms = (quantizer.bilinear_loss(layer.weight) for layer, quantizer in self._pairs())
        return loss + self.bilinear_weight * sum(terms)

    def before_update(self) -> None:
        for layer, quantizer in self._pairs():
            quantizer.drop_idle_gradient()
            quantizer.remember(layer.weight)

    def parameter_groups(self) -> list[ParameterGroup]:
        quantizers = [quantizer for _, quantizer in self._pairs()]
        return [
            ParameterGroup(tuple(quantizer.u for quantizer in quantizers), self.u_lr_factor, decay=False),
            ParameterGroup(tuple(quantizer.scale for quantizer in quantizers), decay=False),
        ]

    def cost_rule(self) -> CostRule:
        """Operands of ±1; gradients have 32 bits."""
        return CostRule((Widths(1.0, activation=1, weight=1),))

    def _quantizer(self, layer: BinaryLayer) -> "RecurrentSign":
        before = layer.weight_quantizer
        if getattr(before, "precision", None) != 1 or isinstance(before, RecurrentSign):
            raise OnebitError(
                f"RBONN: the weight quantizer {type(before).__name__} is not a sign to build on",
                hint="attach it once, to a network of binary layers",
            )
        own = type(before).__module__ == BinaryQuantizer.__module__  # a model's, which gives way
        sign = IdentitySign() if own else before
        weight = layer.weight.detach()
        if self.variant == "paper":
            return PaperRecurrentSign(weight, sign, self.tau, self.initial_u)
        return ReleasedRecurrentSign(weight, sign, self.tau, self.initial_u, by_rank=self.ranking == "true")

    def _pairs(self) -> list[tuple[BinaryLayer, "RecurrentSign"]]:
        return [(layer, layer.weight_quantizer) for layer in self._layers]  # type: ignore[misc]


def _without_scale(transform: nn.Module) -> nn.Sequential:
    steps = transform if isinstance(transform, nn.Sequential) else [transform]
    return nn.Sequential(*(step for step in steps if not isinstance(step, (ChannelScale, nn.Identity))))


class RecurrentSign(nn.Module, ABC):
    """Base of the two variants: ±α_c, from the sign of a latent weight that returns to its state of the previous
    iteration.

    Args:
        weight: (C, ...), the layer's latent weight.
        sign: maps a tensor to ±1; the gradient passes it as if it were the identity.
        tau: τ, from 0 to 1.
        u: u_c at the start.

    Attributes:
        u: (C,), learned.
        previous: in the shape of ``weight``, the tensor that the recurrence returns to; zeros before the first update.
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
        """(C,), the scale of the signs."""

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
        """Stores the tensor that the next iteration returns to; the gradient of ``weight`` is complete."""

    def drop_idle_gradient(self) -> None:
        """Removes u's gradient while there is nothing to return to: Adam would count a step even for zeros."""
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
    """The paper's variant: it returns to the previous weight, and the weight itself changes.

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
    """``values`` (C,), one per output channel (dimension 0) of ``w``, in a shape that broadcasts against it."""
    return values.view(-1, *[1] * (w.dim() - 1))


def _count(channels: int, share: float) -> int:
    """⌊C · share⌋, not one less because 0.29 · 100 lies under 29 in floating point."""
    return int(channels * share + 1e-6)


class UnscaledGradient(nn.Module):
    """Wraps a gradient module so that it sees the gradient before the scaling by α_c.

    Forward: y = module(x).

    Gradient: that of the module for α_c g in place of g, divided by α_c.

    A gradient quantiser with one range per tensor needs it: channels with a small scale have large gradients, beside
    which those of the other channels would vanish.

    Args:
        module: the identity in the forward pass, elementwise on the gradient in the backward pass.
        quantizer: its α is used.

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
