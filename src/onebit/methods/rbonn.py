"""RBONN: recurrent bilinear optimisation of binary networks.

Xu et al., "Recurrent Bilinear Optimization for Binary Neural Networks", ECCV 2022, arXiv 2209.01542. The paper and its
released code differ; ``variant`` chooses, and each is reported under its own name.

L_S is the loss of the task; w a layer's latent weight, with channels c = 1 … C of its output; u_c is learned a channel
and starts at 0.2; 0 ≤ τ ≤ 1.

**Paper.** Binary weights scaled by α_c = 1 / A_c are to lie close to the latent ones, w ≈ sign(w) / A:

    min L_S + λ G,    G(w, A) = ‖sign(w) − A w‖²,    A ← |A − η₁ ∂L/∂A|

As A depends on w, the gradient of w lacks a term. In its place, iteration t starts from

    ŵᵗ = wᵗ + U ∘ DReLU(ŵᵗ⁻¹, A),    wᵗ ← ŵᵗ,    wᵗ⁺¹ = ŵᵗ − η₂ ∂L/∂ŵᵗ,    U ← |U − η₃ ∂L_S/∂U|

    DReLU(ŵ_c, A_c) = ŵ_c if rank(A_c) > ⌊Cτ⌋ and rank(‖ŵ_c‖₁) ≤ ⌊Cτ⌋, else 0        ranks rise from 1 to C

so channels of a large A (a small scale) and of sparse weights return to what they were. ∂L/∂U_c = Σ ∂L_S/∂ŵᵗ ∘
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

from typing import Literal, get_args

from torch import Tensor, nn

from onebit.cost.rule import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method
from onebit.methods.cyclebnn import ChannelScale
from onebit.methods.layers import require_binary_layers
from onebit.methods.parameters import ParameterGroup
from onebit.methods.recurrent_sign import (
    PaperRecurrentSign,
    RecurrentSign,
    ReleasedRecurrentSign,
    UnscaledGradient,
)
from onebit.nn import BinaryLayer
from onebit.quantize import BinaryQuantizer, IdentitySign

BILINEAR_WEIGHT = {"paper": 1e-6, "released": 1e-4}
Variant = Literal["paper", "released"]
Ranking = Literal["true", "argsort"]


class RBONN(Method):
    """Recurrent bilinear optimisation; see the module's page for the equations.

    Attached after a method whose weight quantiser gives ±1, it keeps that quantiser as its sign, and its scale takes
    the place of a learned scale of the layer's output (see :mod:`onebit.methods.compose`).

    Args:
        variant: of the ``paper`` or of its ``released`` code.
        tau: τ: the share of the channels to which the recurrence does not apply; 1 switches it off.
        bilinear_weight: λ; None takes that of ``BILINEAR_WEIGHT``.
        initial_u: u at the start.
        u_lr_factor: u's learning rate, as a factor of the optimiser's.
        ranking: ``true``, or the released code's ``argsort``, a control.

    Raises:
        OnebitError: another variant or ranking, τ outside 0 to 1, a negative λ, ``argsort`` with the paper's variant;
            and ``attach`` for a network without binary layers, or whose weights have more than one bit.

    Example:
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> method = RBONN(variant="released", tau=0.6)
        >>> method.attach(net)
        >>> net[0].quantized_weight().abs().flatten(1).std(1).max() < 1e-6  # one scale a channel
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

    def _quantizer(self, layer: BinaryLayer) -> RecurrentSign:
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

    def _pairs(self) -> list[tuple[BinaryLayer, RecurrentSign]]:
        return [(layer, layer.weight_quantizer) for layer in self._layers]  # type: ignore[misc]


def _without_scale(transform: nn.Module) -> nn.Sequential:
    steps = transform if isinstance(transform, nn.Sequential) else [transform]
    return nn.Sequential(*(step for step in steps if not isinstance(step, (ChannelScale, nn.Identity))))
