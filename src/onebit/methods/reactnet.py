"""ReActNet's training in two steps: binary activations first, then binary weights too.

Liu et al., "ReActNet", ECCV 2020, arXiv 2003.03488, section 5.1, after Martinez et al., "Training Binary Neural
Networks with Real-to-Binary Convolutions", ICLR 2020, arXiv 2003.11535:

    step 1:  y = w * sign(a − α)                 w real-valued, from random values
    step 2:  y = mean_c|w| sign(w) * sign(a − α)         from step 1's end

Both steps take the distributional loss (:mod:`onebit.methods.distillation`) and Adam, whose learning rate falls
linearly to zero. Weight decay is 1e-5 in step 1, none in step 2. It acts on the kernels of convolutions and, as in the
released code, on the thresholds of RSign and the shifts of RPReLU, but not on slopes, BatchNorm and the dense layer.

**AdamBNN** (Liu et al., "How Do Adam and Training Strategies Help BNNs Optimization?", ICML 2021, arXiv 2106.11309) is
the same with 5e-6 in step 1, and none in step 2: weight decay helps step 1 escape its initialisation but makes signs
oscillate, so step 2 uses none.

A recipe's ``initial`` names the checkpoint that step 2 starts from.

**Departures.** The learning rate falls with every iteration. In the released codes it falls with every epoch, to 0 in
the last one, which then only moves BatchNorm's statistics. The released code of step 2 loads step 1's checkpoint
without checking that the names agree. They do not, so its binary weights start at random; here every key must be
present. RSign and RPReLU belong to the networks ``reactnet*``; on another network the steps act on its own input
quantisers.
"""

from typing import Literal

from torch import Tensor, nn

from onebit.cost.rule import FULL, CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method, ParameterGroup, require_binary_layers
from onebit.nn import BinaryLayer, RPReLU, RSign
from onebit.quantize import MagnitudeAwareSign


class ReActNet(Method):
    """One of the two steps; see the module's page. It adds no parameter, so step 2 can be any other method's.

    Args:
        step: 1 for binary activations and real-valued weights, 2 for both binary.

    Raises:
        OnebitError: another step; and ``attach`` for a network without binary layers.

    Example:
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> method = ReActNet(step=1)
        >>> method.attach(net)
        >>> net[0].quantized_weight() is net[0].weight
        True
        >>> [(len(group.parameters), group.decay) for group in method.parameter_groups()]
        [(2, False)]
    """

    def __init__(self, step: Literal[1, 2]) -> None:
        if step not in (1, 2):
            raise OnebitError(f"ReActNet: no step {step}", hint="1 is for binary activations, 2 for binary weights too")
        self.which = step
        self._undecayed: list[nn.Parameter] = []

    def attach(self, net: nn.Module) -> None:
        layers = require_binary_layers(net, "ReActNet")
        for layer in layers:
            layer.weight_quantizer = nn.Identity() if self.which == 1 else MagnitudeAwareSign()
        decayed: set[Tensor] = set()
        for module in net.modules():
            if isinstance(module, BinaryLayer | nn.modules.conv._ConvNd):
                decayed.add(module.weight)
            elif isinstance(module, RSign):
                decayed.add(module.alpha)
            elif isinstance(module, RPReLU):
                decayed |= {module.gamma, module.zeta}
        self._undecayed = [parameter for parameter in net.parameters() if parameter not in decayed]

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup(tuple(self._undecayed), decay=False)]

    def cost_rule(self) -> CostRule:
        """Activations of ±1, weights of 32 bits in step 1 and of ±1 in step 2; gradients have 32 bits."""
        return CostRule((Widths(1.0, activation=1, weight=FULL if self.which == 1 else 1),))
