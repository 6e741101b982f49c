"""CPT: k-bit networks trained at a precision that cycles.

Fu et al., "CPT: Efficient Deep Neural Network Training via Cyclic Precision", ICLR 2021, arXiv 2101.09868. CycleBNN
takes its schedule from here; CPT's networks are not binary.

**Schedule.** In iteration t of N, with n cycles of T = max(1, ⌊N / n⌋) iterations (the paper's equation 1):

    B_t = rint(B_min + ½ (B_max − B_min) (1 − cos(π (t mod T) / T)))        rint rounds halves to even

The paper keeps the width of the gradients constant, which it finds more stable, with 32 cycles. The bounds come from
a precision range test (:func:`onebit.training.precision_range_test`) or are those of the low-precision training that
one would do otherwise. Other forms of a cycle are those of :mod:`onebit.methods.schedule`.

**Layer.** y = conv(Q_a(x), Q_w(w)) + b, whose incoming gradient is quantised: see
:class:`onebit.methods.quantized_layers.KBitLayers`. Q is uniform affine, x̂ = q s + min with
q = round(clamp((x − min) / s, 0, 2^B − 1)), s = max((max − min) / (2^B − 1), 1e-8), and its gradient is the identity.

**What is quantised.** Every convolution, the first one included, and every dense layer but the last (``head``), as in
the released code, whose last dense layer is real-valued.

**Departures.** The iterations that remain after the last cycle keep its last width, so that training ends at B_max.
The bias stays real-valued (the networks of the released code have none). The gradient's step has no lower bound of
1e-8 (see :func:`onebit.quantize.stochastic_quantize`).

**Export.** The packed format has no layer of k bits with k between 1 and 8 on both sides: ``onebit export`` refuses
such a network with one line.
"""

from torch import nn

from onebit.cost.rule import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method
from onebit.methods.quantized_layers import KBitLayers
from onebit.methods.schedule import Bits, Schedule, check_bits_range, check_cycles, cyclic_bits, time_at


class CPT(Method):
    """Cyclic precision training of a real-valued network; see the module's page for the equations.

    Args:
        bits: B_min and B_max of weights and activations; equal for a constant precision.
        gradient_bits: bits of the gradients, or their minimum and maximum.
        cycles: n.
        schedule: the form of a cycle: ``cosine``, ``linear``, ``triangular`` or ``constant`` (B_max).

    Raises:
        OnebitError: bits outside 1 to 24 or falling, no cycle, another schedule; and ``attach`` for a network with
            binary layers, or without convolutions and dense layers.

    Reference: Fu et al., ICLR 2021, arXiv 2101.09868.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        >>> method = CPT(bits=(3, 8), gradient_bits=8, cycles=2)
        >>> method.attach(net)
        >>> bits = []
        >>> for t in range(20):
        ...     method.step(t, total=20)  # then one's own training iteration
        ...     bits.append(net[0].weight_quantizer.bits)
        >>> bits[:10]
        [3, 3, 3, 4, 5, 6, 6, 7, 8, 8]
    """

    def __init__(
        self,
        bits: Bits = (3, 8),
        gradient_bits: int | Bits = 8,
        cycles: int = 32,
        schedule: Schedule = "cosine",
    ) -> None:
        self.bits = check_bits_range("CPT", bits)
        self.gradient_bits = check_bits_range("CPT", gradient_bits)
        check_cycles("CPT", cycles, schedule)
        self.cycles = cycles
        self.schedule: Schedule = schedule
        self._layers: KBitLayers | None = None

    def attach(self, net: nn.Module) -> None:
        self._layers = KBitLayers("CPT", net, self.bits[0], self.gradient_bits[0])

    def set_bits(self, bits: int, gradient_bits: int) -> None:
        """Sets B_t and the gradients' width, as ``step`` does by the schedule."""
        if self._layers is None:
            raise OnebitError("CPT: not attached to a network", hint="call attach(net) first")
        self._layers.set_bits(bits, gradient_bits)

    def step(self, t: int, total: int) -> None:
        self.set_bits(*(cyclic_bits(t, total, r, self.cycles, self.schedule) for r in (self.bits, self.gradient_bits)))

    def cost_rule(self) -> CostRule:
        """B_t × B_t forward, g × B_t for both gradients, as in the released code."""
        times = time_at(self.schedule, self.bits, self.gradient_bits)
        return CostRule(tuple(Widths(share, b, b, g) for share, (b, g) in times))
