"""Bi-Real Net's training: the plain binary network that the other methods are compared with.

Liu et al., "Bi-Real Net: Enhancing the Performance of 1-bit CNNs", ECCV 2018, arXiv 1808.00278, section 3.3:

    activations: q(a) = sign(a),             dq/da = max(0, 2 − 2|a|)
    weights:     q(w) = α_c sign(w),         α_c = mean|w| over output channel c,    dq/dw = α_c for |w| ≤ 1, else 0

The quantisers are :class:`onebit.quantize.ApproxSign` and :class:`onebit.quantize.MagnitudeAwareSign`, which the
networks ``birealnet*`` have from the start; attached to another network, the method gives it the same.

**Departures.** sign(0) = +1, in the released code 0. Its code leaves α out of the gradient, its equation has it. Its
learning rate falls by the epoch, to 0 in the last one; ours, in the recipes, by the iteration. The
paper starts from a real-valued network with clipped activations: give its checkpoint as a recipe's ``initial``.
"""

from torch import nn

from onebit.cost.rule import CostRule, Widths
from onebit.methods.base import Method, require_binary_layers
from onebit.quantize import ApproxSign, MagnitudeAwareSign


class BiReal(Method):
    """ApproxSign activations and magnitude-aware weights; see the module's page for the equations.

    Raises:
        OnebitError: ``attach`` for a network without binary layers.

    Example:
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3))
        >>> BiReal().attach(net)
        >>> net[0].input_quantizer, net[0].weight_quantizer
        (ApproxSign(), MagnitudeAwareSign())
    """

    def attach(self, net: nn.Module) -> None:
        for layer in require_binary_layers(net, "BiReal"):
            layer.input_quantizer = ApproxSign()
            layer.weight_quantizer = MagnitudeAwareSign()

    def cost_rule(self) -> CostRule:
        """Operands of ±1; gradients have 32 bits."""
        return CostRule((Widths(1.0, activation=1, weight=1),))
