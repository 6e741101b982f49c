"""Ties a method to a network and to Lightning's training loop."""

import math
from typing import Any

import lightning.pytorch as pl
from torch import nn
from torch.optim import Optimizer

from onebit.errors import OnebitError
from onebit.methods.base import Method


def apply(method: Method, net: nn.Module) -> list[pl.Callback]:
    """Attaches a method to a network and returns the Lightning callbacks that run its schedule.

    Apply before the optimiser is made. An iteration is an optimiser step, as in the papers: the batches of one
    accumulated gradient share the method's state.

    Args:
        method: fresh; it belongs to this network from now on.
        net: made of ``onebit.nn`` layers; changed in place.

    Raises:
        OnebitError: ``method`` is no method, such as an optimiser, or it does not fit ``net``.

    Example:
        >>> from onebit.methods import CycleBNN
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> apply(CycleBNN(bits=(2, 6)), net)
        [<onebit.methods.lightning.MethodCallback object at ...>]
        >>> net[0].input_quantizer.bits
        2
    """
    if not isinstance(method, Method):
        raise OnebitError(
            f"apply: {getattr(method, '__name__', type(method).__name__)} is not an object of a method",
            hint="call it as apply(methods.Bop(), net)",
        )
    method.attach(net)
    return [MethodCallback(method)]


class MethodCallback(pl.Callback):
    """Calls ``method.step`` before each training batch, ``method.before_update`` before each step of the optimiser, and
    keeps the method's state in the checkpoint.

    t is the trainer's count of optimiser steps and N its estimate of their number, so a resumed run goes on where it
    stopped and the batches of one accumulated gradient share t.
    """

    def __init__(self, method: Method) -> None:
        self.method = method

    @property
    def state_key(self) -> str:
        return f"onebit.methods.{type(self.method).__name__}"

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        total = trainer.estimated_stepping_batches
        if not math.isfinite(total):
            raise OnebitError(
                "a method's schedule needs a known length of training", hint="set max_epochs or max_steps"
            )
        self.method.step(trainer.global_step, int(total))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        self.method.before_update()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        states = checkpoint["callbacks"]
        for name in type(self.method).former_names:
            if f"onebit.methods.{name}" in states:
                states[self.state_key] = states.pop(f"onebit.methods.{name}")

    def state_dict(self) -> dict[str, Any]:
        return self.method.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.method.load_state_dict(state_dict)
