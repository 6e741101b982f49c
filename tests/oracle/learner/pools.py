"""The nodes of a tail that train nothing: pools, and channels of zeros."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from onebit.format.codes import Op
from tests.oracle.learner.arithmetic import Gradient, Levels, normalise
from tests.oracle.learner.head import Factor
from tests.oracle.learner.packed_tail import PackedNode
from tests.oracle.learner.windows import Windows

_BELOW_ALL = -1000  # levels


class Untrained(ABC):
    """Its sums are ``count`` times its output."""

    def __init__(self, source: Levels, out: Levels, count: int = 1) -> None:
        self.out, self.count = out, count
        self.factor = Factor.of(source.step / (count * out.step))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.factor.multiply(self.sums(x), 0))

    def backward(self, gradient: Gradient, x: Tensor) -> Gradient | None:
        return normalise(self.spread(gradient.levels, x), gradient.unit / self.count)

    @abstractmethod
    def sums(self, x: Tensor) -> Tensor:
        """Of the input's levels, for each element of the output."""

    @abstractmethod
    def spread(self, g: Tensor, x: Tensor) -> Tensor:
        """The gradient of the sums, brought to the input."""


class AveragePool(Untrained):
    """The mean of each window, without padding."""

    def __init__(self, node: PackedNode, source: Levels, out: Levels) -> None:
        self.windows = Windows(node.attributes[:2], node.attributes[2:4], node.attributes[4:8])
        super().__init__(source, out, node.attributes[0] * node.attributes[1])

    def sums(self, x: Tensor) -> Tensor:
        return torch.stack(self.windows.parts(x, 0)).sum(dim=0)

    def spread(self, g: Tensor, x: Tensor) -> Tensor:
        return self.windows.gathered([g] * self.count, *x.shape[1:3])


class MaxPool(Untrained):
    """The largest level of each window; the gradient goes to the first of them."""

    def __init__(self, node: PackedNode, source: Levels, out: Levels) -> None:
        self.windows = Windows(node.attributes[:2], node.attributes[2:4], node.attributes[4:8])
        super().__init__(source, out)

    def sums(self, x: Tensor) -> Tensor:
        return torch.stack(self.windows.parts(x, _BELOW_ALL)).amax(dim=0)

    def spread(self, g: Tensor, x: Tensor) -> Tensor:
        parts, largest, rest = self.windows.parts(x, _BELOW_ALL), self.sums(x), torch.ones_like(g, dtype=torch.bool)
        taken = []
        for part in parts:
            first = rest & (part == largest)
            taken.append(torch.where(first, g, 0))
            rest &= ~first
        return self.windows.gathered(taken, *x.shape[1:3])


class PadChannels(Untrained):
    """Zeros before and after the channels."""

    def __init__(self, node: PackedNode, source: Levels, out: Levels) -> None:
        super().__init__(source, out)
        self.before, self.after = node.attributes

    def sums(self, x: Tensor) -> Tensor:
        return functional.pad(x, (self.before, self.after))

    def spread(self, g: Tensor, x: Tensor) -> Tensor:
        return g[..., self.before : self.before + x.shape[-1]]


UNTRAINED: dict[int, type[AveragePool | MaxPool | PadChannels]] = {
    Op.AVERAGE_POOL: AveragePool,
    Op.MAX_POOL: MaxPool,
    Op.PAD_CHANNELS: PadChannels,
}
