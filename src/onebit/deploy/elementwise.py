"""PyTorch modules that treat every element of a channel alike, as one function of (values, channels)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_CHUNK = 2**22  # elements evaluated at a time


class NotPerChannel(Exception):
    """Says why a function is not the same for every element of a channel, or not of the form that was asked for."""


@dataclass(frozen=True)
class Step:
    """One module and what it sees in the network: ``rank`` 4 for (N, C, H, W), 2 for (N, positions · C)."""

    module: Callable[[Tensor], Tensor]
    rank: int
    positions: int = 1

    def __call__(self, x: Tensor) -> Tensor:
        values, channels = x.shape
        if self.rank == 4:  # the layout of the network, so that PyTorch takes the same path and rounds alike
            return self._run(x.t().reshape(1, channels, 1, values)).reshape(channels, values).t()
        if self.positions == 1:
            return self._run(x)
        wide = x[:, :, None].expand(values, channels, self.positions)
        result = self._run(wide.reshape(values, -1)).reshape(wide.shape)
        if not torch.equal(result, result[:, :, :1].expand_as(result)):
            raise NotPerChannel("it differs between the positions of a channel that was flattened")
        return result[:, :, 0]

    def _run(self, x: Tensor) -> Tensor:
        y = self.module(x)
        if y.shape != x.shape:
            raise NotPerChannel(f"it turns {tuple(x.shape)} into {tuple(y.shape)}")
        return y


@dataclass(frozen=True)
class PerChannel:
    """Steps, one after the other.

    Example:
        >>> function = PerChannel((Step(torch.nn.Hardtanh(), rank=4),))
        >>> function(torch.tensor([[-3.0, 0.5], [2.0, 0.25]]))
        tensor([[-1.0000,  0.5000],
                [ 1.0000,  0.2500]])
    """

    steps: tuple[Step, ...]

    def then(self, other: "PerChannel") -> "PerChannel":
        return PerChannel(self.steps + other.steps)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """``x``: float32 (values, channels)."""
        widest = x.shape[1] * max((step.positions for step in self.steps), default=1)
        return torch.cat([self._run(part) for part in x.split(max(1, _CHUNK // widest))])

    def _run(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x
