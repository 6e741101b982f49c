"""Averaged weights: what is evaluated, kept in checkpoints and exported instead of the last ones."""

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
    Approximation by Averaging", 1992, with exponential weights). ``swa``: the mean of all (Izmailov et al., "Averaging
    Weights Leads to Wider Optima and Better Generalization", UAI 2018), each step counting, and not each cycle.

    BatchNorm's running statistics are averaged like the weights; the paper of SWA measures them anew in a pass over the
    data, which this does not. Every other buffer, and what quantisers keep beside their tensors, is the last one.
    Before ``start`` the average is the weights themselves.

    Args:
        config: the recipe's ``averaging``.
        steps: the length of the run.

    Attributes:
        average: by the names of parameters and buffers.
        count: the steps that it is of, an int64 tensor.
    """

    def __init__(self, config: AveragingConfig, steps: int) -> None:
        self.config = config
        self.start = int(config.start * steps)
        self.average: dict[str, Tensor] = {}
        self.count = torch.tensor(0)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Takes in the weights after ``step`` steps of the run."""
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
        """While entered, the module has the average in the place of its last weights."""
        last = {name: value.detach().clone() for name, value in _tensors(module)}
        _copy(self.average, module)
        try:
            yield
        finally:
            _copy(last, module)

    def state_dict(self, state: dict[str, Any]) -> dict[str, Any]:
        """The module's ``state`` with the average for its weights."""
        return {name: self.average.get(name, value) for name, value in state.items()}

    def load_state_dict(self, module: nn.Module, state: dict[str, Any], count: Tensor) -> None:
        """Goes on from what `state_dict` gave for the module, an average of ``count`` steps."""
        self.average = {name: state[name].to(now.device) for name, now in _tensors(module) if name in state}
        self.count = count


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(module.named_parameters(), module.named_buffers())


@torch.no_grad()
def _copy(values: dict[str, Tensor], module: nn.Module) -> None:
    for name, now in _tensors(module):
        if name in values:
            now.copy_(values[name])
