"""PFQ, progressive fractional quantisation: the precision rises whenever the loss stops falling.

Fu et al., "PFQ: Fractionally Squeezing Bit Savings Both Temporally and Spatially for Efficient DNN Training",
NeurIPS 2020, arXiv 2012.13113, algorithm 1, as its released code computes it.

**Stages.** Weights and activations have B_i bits in stage i, gradients G_i; both rise. The layers are those of
:mod:`onebit.methods.cpt`.

**When a stage ends.** L_e is the mean training loss of interval e (of ``interval`` iterations; in the released code
about an epoch), S the mean of L over the first ten intervals, or as many as there were. At the end of each interval,
with the last five of this stage:

    the next stage begins  if  |L_j − L_e| / S ≤ ε  for j = e − 4, …, e − 1

Then ε becomes α ε, and the five intervals are counted anew. In the last stage training goes on to its end.

**Not done: dynamic fractional quantisation (DFQ)**, the other half of the paper, in which a recurrent gate chooses
the precision of each layer for each input. FracTrain is the paper's name for both together.

**Departures.** The loss is averaged over the iterations that were summed (the released code divides the sum of 400 by
the 391 of an epoch), and over the processes of a distributed run. ε decays after every stage (the released code stops
after two, which is the same for four stages).

**Cost.** The ends of the stages are known only after the run. Before it :meth:`PFQ.cost_rule` charges the last stage
for the whole time, which is an upper bound; afterwards it charges the stages as they were.

**Export.** As for CPT: refused with one line. A run that ends before its last stage leaves a network with the bits of
the stage that it reached.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from onebit.cost.rule import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method
from onebit.methods.quantized_layers import KBitLayers
from onebit.methods.schedule import check_bits_range

KEPT = 5
"""Intervals whose losses are compared."""
SCALED = 10
"""Intervals whose mean loss is the scale S."""


class PFQ(Method):
    """Progressive fractional quantisation of a real-valued network; see the module's page for the rule.

    Args:
        bits: B_i of weights and activations, one per stage, not falling.
        gradient_bits: G_i of the gradients, one per stage.
        threshold: ε of the first stage.
        decay: α.
        interval: iterations over which the loss is averaged.

    Raises:
        OnebitError: no stage, bits outside 1 to 24 or falling, another number of gradient bits, an interval, ε or α
            that is not positive; and ``attach`` for a network with binary layers, or without layers to quantise.

    Reference: Fu et al., NeurIPS 2020, arXiv 2012.13113.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 2))
        >>> method = PFQ(bits=(3, 8), gradient_bits=(6, 8), interval=1)
        >>> method.attach(net)
        >>> for t, loss in enumerate([2.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]):
        ...     method.step(t, total=8)
        ...     _ = method.loss(torch.tensor(loss))  # five equal losses are seen in the eighth
        >>> net[0].weight_quantizer.bits
        8
    """

    former_names = ("FracTrain",)

    def __init__(
        self,
        bits: Sequence[int] = (3, 4, 6, 8),
        gradient_bits: Sequence[int] = (6, 6, 8, 8),
        threshold: float = 0.05,
        decay: float = 0.3,
        interval: int = 400,
    ) -> None:
        if not bits or len(bits) != len(gradient_bits):
            counts = f"{len(bits)} widths of operands and {len(gradient_bits)} of gradients"
            raise OnebitError(f"PFQ: {counts}", hint="give one of each a stage")
        for widths in (bits, gradient_bits):
            for pair in pairwise((widths[0], *widths)):
                check_bits_range("PFQ", pair)
        for name, value in (("interval", interval), ("threshold", threshold), ("decay", decay)):
            if value <= 0:
                raise OnebitError(f"PFQ: {name} is {value}", hint="it must be above zero")
        self.bits, self.gradient_bits = tuple(bits), tuple(gradient_bits)
        self.threshold, self.decay, self.interval = threshold, decay, interval
        self.stage = 0
        self._epsilon = threshold
        self._t = -1
        self._steps = [0] * len(bits)  # iterations in each stage
        self._recent: list[float] = []  # the last losses of this stage
        self._first: list[float] = []  # the first losses of the run
        self._sum, self._summed = torch.zeros(()), 0
        self._layers: KBitLayers | None = None

    def attach(self, net: nn.Module) -> None:
        self._layers = KBitLayers("PFQ", net, self.bits[0], self.gradient_bits[0])

    def step(self, t: int, total: int) -> None:
        if self._layers is None:
            raise OnebitError("PFQ: not attached to a network", hint="call attach(net) first")
        if t == self._t:  # another batch of an accumulated gradient
            return
        if t % self.interval == 0 and self._summed:
            self._end_interval()
        self._t = t
        self._steps[self.stage] += 1
        self._layers.set_bits(self.bits[self.stage], self.gradient_bits[self.stage])

    def loss(self, loss: Tensor) -> Tensor:
        self._sum, self._summed = self._sum.to(loss.device) + loss.detach().float(), self._summed + 1
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "epsilon": self._epsilon,
            "t": self._t,
            "steps": list(self._steps),
            "recent": list(self._recent),
            "first": list(self._first),
            "sum": self._sum.cpu(),
            "summed": self._summed,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.stage, self._epsilon, self._t = state["stage"], state["epsilon"], state["t"]
        self._steps, self._recent, self._first = list(state["steps"]), list(state["recent"]), list(state["first"])
        self._sum, self._summed = state["sum"], state["summed"]

    def cost_rule(self) -> CostRule:
        """After a run, the time that its stages took; before it, the last stage all the time, an upper bound."""
        steps = self._steps if any(self._steps) else [*[0] * (len(self.bits) - 1), 1]
        stages = zip(steps, self.bits, self.gradient_bits, strict=True)
        return CostRule(tuple(Widths(n / sum(steps), b, b, g) for n, b, g in stages if n))

    def _end_interval(self) -> None:
        mean = self._sum / self._summed
        if torch.distributed.is_available() and torch.distributed.is_initialized():  # one answer for all processes
            torch.distributed.all_reduce(mean)
            mean = mean / torch.distributed.get_world_size()
        loss = float(mean)
        self._sum, self._summed = torch.zeros(()), 0
        if len(self._first) < SCALED:
            self._first.append(loss)
        self._recent = [*self._recent, loss][-KEPT:]
        scale = sum(self._first) / len(self._first)
        stalled = all(abs(before - loss) <= self._epsilon * scale for before in self._recent)
        if len(self._recent) == KEPT and stalled and self.stage < len(self.bits) - 1:
            self.stage += 1
            self._epsilon *= self.decay
            self._recent = []
