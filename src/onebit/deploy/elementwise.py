"""PyTorch modules that treat every element of a channel alike, as one function of (values, channels)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_CHUNK = 2**22  # elements evaluated at a time
_TRIALS = 16


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

    def try_elements(self, channels: int) -> None:
        """Raises NotPerChannel if an element's result changes with the other elements, or from call to call."""
        generator = torch.Generator().manual_seed(0)
        shape = (2, channels, 3, 5) if self.rank == 4 else (8, channels * self.positions)
        for trial in range(_TRIALS):
            x = torch.randn(shape, generator=generator) * 2.0 ** (trial // 2 - 3)
            kept = torch.rand(shape, generator=generator) < 0.1
            others = torch.rand(shape, generator=generator) * (-1000.0) ** (trial % 2 + 1)
            before, after = self._run(x)[kept], self._run(torch.where(kept, x, others))[kept]
            if not torch.allclose(before, after, rtol=1e-5, atol=1e-6):
                raise NotPerChannel("what it gives for one number depends on others, or is not the same each time")

    def _run(self, x: Tensor) -> Tensor:
        y = self.module(x.clone(memory_format=torch.contiguous_format))  # a module may write to its input
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
    def try_elements(self, channels: int) -> None:
        """Tries each step on numbers of several scales.

        Raises:
            NotPerChannel: what a step gives for one element depends on other elements.

        Example:
            >>> PerChannel((Step(lambda x: x - x.mean(), rank=4),)).try_elements(3)
            Traceback (most recent call last):
            onebit.deploy.elementwise.NotPerChannel: what it gives for one number depends on others, or is not the ...
        """
        for step in self.steps:
            step.try_elements(channels)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """``x``: float32 (values, channels)."""
        widest = x.shape[1] * max((step.positions for step in self.steps), default=1)
        return torch.cat([self._run(part) for part in x.split(max(1, _CHUNK // widest))])

    def _run(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x
