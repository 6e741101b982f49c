"""Several methods in one training run.

Each method is attached to the network as the one before it left it, so their order matters: a method that replaces a
quantiser comes before one that builds on it.

**CycleBNN × RBONN.** In this order. With the symbols of :mod:`onebit.methods.cyclebnn` and :mod:`onebit.methods.rbonn`,
a binary layer computes in iteration t:

1. The recurrent weight: w̃ = w − u_c m_c ∂L/∂wᵗ⁻¹ (released; in evaluation w), or ŵ = w + U ∘ DReLU(ŵᵗ⁻¹, A) (paper).
2. CycleBNN's sign of it: B(w̃) = sign(Q_b(w₁)) with w₁ = 2√2 w̃ / √(var_c(w̃) + 1e-5) and Q_b its b_t-bit quantiser.
3. CycleBNN's sign of the activations: scaled, quantised to b_t bits, binarised.
4. Convolution of ±1 by ±1, times RBONN's scale α_c = 0.02 |s_c|, or 1 / A_c. CycleBNN's own is taken out.
5. Backward, CycleBNN's gradient quantiser: with G the gradient that comes in, α_c G is quantised to g_t bits, which is
   the gradient of the product of ±1 by ±1. Quantised before the factor α_c, G would lose the channels of a large scale.

The weight's gradient is RBONN's: with g that of α_c B, from the quantised one, the sign passes it as the identity does.

    released:  ∂w̃ = g |s_c| + λ (w̃ − b |s_c|),    ∂|s_c| = Σ g w̃ − λ Σ (w̃ − b |s_c|) b,    b = 0.02 B(w̃)

    paper:     ∂ŵ = g / A_c + λ ∂G/∂ŵ,    ∂A_c = −Σ g B(ŵ) / A_c² + λ ∂G/∂A_c,    G(ŵ, A) = ‖B(ŵ) − A ŵ‖²

The gradient of CycleBNN's standardisation, some 2√2 / √var_c(w) times as large, is left out: the released recurrence
subtracts a gradient from a weight, and so depends on its scale. λ, u and τ are not cyclic.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from onebit.cost.rule import CostRule
from onebit.errors import OnebitError
from onebit.methods.base import Method, ParameterGroup


class Compose(Method):
    """Calls every hook of several methods, one method after the other; see the module's page.

    Args:
        methods: in the order in which they attach; the loss of one goes into the next.

    Raises:
        OnebitError: no methods; and ``cost_rule`` if two of them change the operands over the run.

    Example:
        >>> from onebit.methods import RBONN, CycleBNN
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> method = Compose([CycleBNN(bits=(2, 6)), RBONN(variant="released")])
        >>> method.attach(net)
        >>> [type(module).__name__ for module in (net[0].weight_quantizer, net[0].weight_quantizer.sign)]
        ['ReleasedRecurrentSign', 'CyclicWeightSign']
    """

    def __init__(self, methods: Sequence[Method]) -> None:
        if not methods:
            raise OnebitError("Compose: no methods given", hint="name them in the order in which they attach")
        self.methods = list(methods)

    def attach(self, net: nn.Module) -> None:
        for method in self.methods:
            method.attach(net)

    def step(self, t: int, total: int) -> None:
        for method in self.methods:
            method.step(t, total)

    def loss(self, loss: Tensor) -> Tensor:
        for method in self.methods:
            loss = method.loss(loss)
        return loss

    def before_update(self) -> None:
        for method in self.methods:
            method.before_update()

    def parameter_groups(self) -> list[ParameterGroup]:
        return [group for method in self.methods for group in method.parameter_groups()]

    def state_dict(self) -> dict[str, Any]:
        return {"methods": [method.state_dict() for method in self.methods]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for method, own in zip(self.methods, state["methods"], strict=True):
            method.load_state_dict(own)

    def cost_rule(self) -> CostRule:
        """The narrowest operands of all methods; the method that varies them over the run sets the charged widths.

        Latent weights count if all methods keep them. No paper's figures apply to a composition.
        """
        rules = [method.cost_rule() for method in self.methods]
        varied = [rule for rule in rules if rule.charged or len(rule.operands) > 1]
        if len(varied) > 1:
            raise OnebitError(
                "Compose: two methods change the operands' widths over the run", hint="the ledger can count one such"
            )
        constant = [rule.operands[0] for rule in rules if rule not in varied]
        base = (varied or rules)[0]
        names = ("activation", "weight", "gradient")
        operands = tuple(
            replace(widths, **{name: min(getattr(w, name) for w in (widths, *constant)) for name in names})
            for widths in base.operands
        )
        slots = next((rule.slots for rule in rules if rule.slots is not None), None)
        return CostRule(operands, base.charged, latent=all(rule.latent for rule in rules), slots=slots)
