"""Stops a training at the first update that is not finite, and finds the layer that it came from."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from onebit.errors import OnebitError
from onebit.training.checkpoint import read_checkpoint
from onebit.training.folder import RunFolder
from onebit.training.keeper import Stopped


class FiniteCheck(Callback):
    """Looks at the gradients before each update, so that weights never become lost through them.

    The gradients of a distributed run are the same on every process, so all stop at the same step. Reading their norm
    waits for the device once per step. The layer is found by repeating the step's last batch with every module watched.

    Args:
        folder: of the run; its last checkpoint is named.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._batch: Any = None
        self._loss: Tensor | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._batch = batch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._loss = loss.detach()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        assert self._loss is not None
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        figures = [get_total_norm(gradients).float()] if gradients else []
        if trainer.world_size == 1:  # another process may be well, and would wait for this one
            figures.append(self._loss.float())
        if all(torch.stack(figures).isfinite().tolist()):
            return
        with trainer.precision_plugin.train_step_context():
            found = [first_not_finite(pl_module, self._batch)]
        losses = [bool(self._loss.isfinite())]
        if trainer.world_size > 1:
            found, losses = _everywhere(found[0], trainer.world_size), _everywhere(losses[0], trainer.world_size)
        where = next((place for place in found if place is not None), _parameter(pl_module))
        what = "gradient" if all(losses) else "loss"
        raise Stopped(
            f"the {what} of step {trainer.global_step} is not a finite number; first seen in {where}", hint=self._hint()
        )

    def _hint(self) -> str:
        try:
            step = read_checkpoint(self.folder.last)["onebit"]["step"]
        except OnebitError:
            return "lower optimizer.lr; there is no checkpoint yet"
        return f"lower optimizer.lr; the last good checkpoint is {self.folder.last}, of step {step}"


def first_not_finite(module: LightningModule, batch: tuple[Tensor, Tensor]) -> str | None:
    """The first place in a step whose numbers are not finite: in the forward pass, else in the backward pass.

    Args:
        module: its ``training_step`` is run on the batch; the gradients that its parameters hold are left as they are.
        batch: images and labels.

    Returns:
        such as ``the output of net.body.1``; None if all is finite.
    """
    if not batch[0].isfinite().all():
        return "the images of the batch"
    places: list[tuple[str, Tensor, bool]] = []

    def watch(name: str) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                places.append((name, output, bool(output.isfinite().all())))

        return hook

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in module.named_modules() if name]
    try:
        with torch.enable_grad(), torch.compiler.set_stance("force_eager"):  # not worth compiling for
            loss = module.training_step(batch, 0)
    finally:
        for hook in hooks:
            hook.remove()
    assert isinstance(loss, Tensor)
    for name, _, finite in places:
        if not finite:
            return f"the output of {name}"
    if not loss.isfinite():
        return "the loss itself"
    grown = [(name, output) for name, output, _ in places if output.requires_grad]
    gradients = torch.autograd.grad(loss, [output for _, output in grown], allow_unused=True)
    for (name, _), gradient in zip(reversed(grown), reversed(gradients), strict=True):
        if gradient is not None and not gradient.isfinite().all():
            return f"the gradient at the output of {name}"
    return None


def _parameter(module: nn.Module) -> str:
    """The last parameter, so the first in the backward pass, whose gradient is not finite."""
    lost = [name for name, p in module.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    return f"the gradient of {lost[-1]}" if lost else "no single layer: the norm of all gradients overflows"


def _everywhere(value: Any, world: int) -> list[Any]:
    values = [None] * world
    torch.distributed.all_gather_object(values, value)
    return values
