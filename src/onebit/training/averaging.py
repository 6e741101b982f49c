"""Averages of the weights, which replace the last weights in evaluation, checkpoints and export."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from onebit.training.recipe import AveragingConfig

_STATISTICS = ("running_mean", "running_var")


class Averaging:
    """Averages the weights over the steps from ``start`` on.

    ``ema``: ā ← d ā + (1 − d) w, from ā = w at the first step (Polyak and Juditsky, "Acceleration of Stochastic
    Approximation by Averaging", 1992, with exponential weights). ``swa``: the mean over all steps (Izmailov et al.,
    "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018, who average once per cycle).

    BatchNorm's running statistics are averaged like the weights; the paper of SWA instead computes them anew in a pass
    over the data. All other buffers, and the state that quantisers keep beside their tensors, are those of the last
    step. Before ``start`` the average equals the weights.

    Args:
        config: the recipe's ``averaging``.
        steps: number of steps of the run.

    Attributes:
        average: the averaged tensors, by the name of the parameter or buffer.
        count: number of averaged steps, an int64 tensor.
    """

    def __init__(self, config: AveragingConfig, steps: int) -> None:
        self.config = config
        self.start = int(config.start * steps)
        self.average: dict[str, Tensor] = {}
        self.count = torch.tensor(0)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Adds the module's weights after ``step`` steps of the run to the average."""
        weights = {name for name, _ in module.named_parameters()}
        for name, now in _tensors(module):
            kept = self.average.setdefault(name, torch.empty_like(now))
            averaged = self.count > 0 and (name in weights or name.endswith(_STATISTICS))
            kept.copy_(self._mean(kept, now) if averaged else now)
        self.count += step > self.start

    def _mean(self, average: Tensor, now: Tensor) -> Tensor:
        if self.config.name == "ema":
            return self.config.decay * average + (1 - self.config.decay) * now
        return average + (now - average) / (self.count.to(now.device) + 1)

    @contextmanager
    def in_place_of(self, module: nn.Module) -> Iterator[None]:
        """Within this context the module has the averaged weights, afterwards its last weights again."""
        last = {name: value.detach().clone() for name, value in _tensors(module)}
        _copy(self.average, module)
        try:
            yield
        finally:
            _copy(last, module)

    def state_dict(self, state: dict[str, Any]) -> dict[str, Any]:
        """A copy of the module's ``state`` in which the average replaces the weights."""
        return {name: self.average.get(name, value) for name, value in state.items()}

    def load_state_dict(self, module: nn.Module, state: dict[str, Any], count: Tensor) -> None:
        """Restores an average of ``count`` steps from what `state_dict` returned."""
        self.average = {name: state[name].to(now.device) for name, now in _tensors(module) if name in state}
        self.count = count


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(module.named_parameters(), module.named_buffers())


@torch.no_grad()
def _copy(values: dict[str, Tensor], module: nn.Module) -> None:
    for name, now in _tensors(module):
        if name in values:
            now.copy_(values[name])
