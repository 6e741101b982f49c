"""Stops training at the first gradient or loss that is not finite, and finds the layer that it came from."""

from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from onebit.data.loader import Batch
from onebit.errors import OnebitError
from onebit.training.checkpoint import read_checkpoint
from onebit.training.classifier import Classifier
from onebit.training.fabric import gather
from onebit.training.folder import RunFolder
from onebit.training.interruption import Stopped


def check_finite(
    fabric: Fabric, classifier: Classifier, batch: Batch, loss: Tensor, step: int, folder: RunFolder
) -> None:
    """Checks the gradients before an update, so that NaN and infinity never reach the weights.

    The gradients of a distributed run are the same on every process, so all stop at the same step. Reading their norm
    waits for the device once per step. The layer is found by repeating the last batch with a hook on each module.

    Args:
        fabric: Fabric of the run.
        classifier: with complete gradients.
        batch, loss: the last batch of the step and its loss.
        step: number of the step, from 0.
        folder: folder of the run; the error names its last checkpoint.

    Raises:
        Stopped: a gradient, or the loss, is not finite.
    """
    gradients = [p.grad for p in classifier.parameters() if p.grad is not None]
    figures = [get_total_norm(gradients).float()] if gradients else []
    if fabric.world_size == 1:  # else a process whose loss is finite would wait for this one
        figures.append(loss.detach().float())
    if all(torch.stack(figures).isfinite().tolist()):
        return
    with fabric.autocast():
        found = first_not_finite(classifier, batch)
    where = next((place for place in gather(fabric, found) if place is not None), _parameter(classifier))
    what = "gradient" if all(gather(fabric, bool(loss.isfinite()))) else "loss"
    raise Stopped(f"the {what} of step {step} is not a finite number; first seen in {where}", hint=_hint(folder))


def check_finite_weights(module: nn.Module, step: int) -> None:
    """Raises Stopped if the weights after ``step`` steps are not finite, as finite gradients can make them."""
    if not get_total_norm(module.parameters()).isfinite():
        raise Stopped(f"the weights after step {step} are not finite", hint="lower optimizer.lr")


def first_not_finite(module: Classifier, batch: Batch) -> str | None:
    """Finds the first place in a step with values that are not finite: in the forward pass, else in the backward pass.

    Args:
        module: its ``training_step`` is run on the batch; the gradients of its parameters are left unchanged.
        batch: images and labels.

    Returns:
        such as ``the output of net.body.1``; None if all values are finite.
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
    """Names the last parameter, so the first in the backward pass, whose gradient is not finite."""
    lost = [name for name, p in module.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    return f"the gradient of {lost[-1]}" if lost else "no single layer: the norm of all gradients overflows"


def _hint(folder: RunFolder) -> str:
    try:
        step = read_checkpoint(folder.last)["onebit"]["step"]
    except OnebitError:
        return "lower optimizer.lr; there is no checkpoint yet"
    return f"lower optimizer.lr; the last good checkpoint is {folder.last}, of step {step}"
