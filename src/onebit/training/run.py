"""A training run: from a recipe to a folder with checkpoints, logs, a plot and a record."""

import copy
import math
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import seed_everything
from torch import nn

from onebit import cost, methods
from onebit.data import DataModule
from onebit.data.sampler import EpochSampler
from onebit.errors import OnebitError
from onebit.nn import use_native
from onebit.training.build import make_method, make_net
from onebit.training.classifier import Classifier
from onebit.training.fabric import launch, make_fabric
from onebit.training.folder import RunFolder
from onebit.training.history import History
from onebit.training.interruption import Interruption
from onebit.training.loop import Loop
from onebit.training.plot import plot_history
from onebit.training.progress import show_progress
from onebit.training.recipe import Recipe
from onebit.training.record import write_record
from onebit.training.weights import load_initial, load_teacher


def fit(
    recipe: Recipe, output: str | Path, *, resume: str | Path | None = None, force: bool = False, progress: bool = True
) -> dict[str, Any]:
    """Trains as a recipe says.

    Writes into ``output``: ``recipe.yaml``, ``best.ckpt`` and ``last.ckpt``, ``logs/`` (CSV and TensorBoard), and
    at the end ``history.png`` and ``record.json``. Nothing is written before the recipe, the data and the network
    have been checked.

    Args:
        recipe: what to train.
        output: folder of the run; made if it is missing.
        resume: a checkpoint of the same recipe to resume from; only ``trainer`` and ``published`` may differ. The
            weights at the end are those of an uninterrupted run, bit for bit, on the same machine with as many threads
            and devices.
        force: replace a run that ``output`` holds.
        progress: show a bar on stderr, or a line per minute if stderr is not a terminal.

    Returns:
        ``checkpoint`` (the best), ``best_top1``, ``last_top1``, ``epochs``, ``steps``, ``seconds``,
        ``images_per_second`` (of training, without validation), ``operations_saved_percent`` and ``skipped`` (the
        damaged files that were left out: the reason by the name).

    Raises:
        OnebitError: the folder holds a run, or another process trains in it; the recipe names something that does not
            exist; the data is missing; or (:class:`onebit.training.interruption.Stopped`) a loss, a gradient or a
            weight is not finite, or the user stopped the run.
    """
    with RunFolder(output) as folder:
        return _fit(recipe, folder, resume, force, progress)


def _fit(recipe: Recipe, folder: RunFolder, resume: str | Path | None, force: bool, progress: bool) -> dict[str, Any]:
    start = folder.check(recipe, resume, force)
    _set_threads(recipe)
    seed_everything(recipe.seed, verbose=False)
    data = DataModule(**vars(recipe.data), seed=recipe.seed)
    net = make_net(recipe.model.name, recipe.model.options, len(data.classes), data.shape)
    if recipe.initial is not None and resume is None:
        load_initial(recipe.initial, net)
    method = None
    if recipe.method is not None:
        method = make_method(recipe.method.class_path, recipe.method.init_args, trusted=True)
    if recipe.teacher is not None:
        distillation = methods.Distillation(load_teacher(recipe.teacher, data))
        method = methods.Compose([distillation, method] if method else [distillation])
    if method is not None:
        method.attach(net)
    _check_batch(recipe, data, net)
    ledger = cost.count(net, torch.zeros(1, *data.shape), method, recipe.optimizer.name, recipe.data.batch_size)
    if recipe.trainer.backend == "native":  # after the method has put its quantisers in place
        print(use_native(net, storage=recipe.trainer.storage), file=sys.stderr)
    elif recipe.trainer.backend == "compiled":
        net.compile()
    epoch, steps = _length(recipe, data)
    if start >= steps:
        raise OnebitError(
            f"{resume} is at step {start} of {steps}", hint="nothing is left to do; raise trainer.max_steps"
        )
    history = History(steps, epoch, ledger.rule)
    classifier = Classifier(net, len(data.classes), method, recipe.optimizer, recipe.schedule, steps)
    fabric = make_fabric(recipe.trainer, folder.path)
    with Interruption() as interruption:
        folder.prepare(recipe, resume)
        launch(fabric)
        loop = Loop(fabric, classifier, data, recipe, history, folder, _info(recipe, data))
        if resume is not None:
            loop.load(resume)
        try:
            with show_progress(history, progress and fabric.is_global_zero) as shows:
                loop.run(interruption, shows)
        finally:
            for logger in fabric.loggers:
                logger.finalize("")
    if method is not None:
        ledger = ledger.under(method.cost_rule())  # some methods know their bit widths only after training
    figures = {
        "best_top1": loop.best_top1,
        "last_top1": history.validations[-1]["top1"],
        "epochs": loop.step / epoch,
        "steps": loop.step,
        "seconds": history.seconds,
        "images_per_second": history.images_per_second,
        "operations_saved_percent": ledger.saved_percent,
        "skipped": loop.skipped,
    }
    if fabric.is_global_zero:
        plot_history(history, folder.plot, title=folder.path.name)
        batches = loop.step * recipe.optimizer.accumulate * fabric.world_size
        content = {
            "result": figures,
            "recipe": recipe.to_dict(),
            "saved_percent": {
                "ledger": ledger.saved_percent,
                "paper_formula": ledger.paper_formula_saved_percent,
            },
            "energy_joule": {
                name: joule * batches * recipe.data.batch_size
                for name, joule in ledger.energy_joule.items()
                if name != "inference"
            },
            "validations": history.validations,
            "curve": history.curve,
        }
        write_record(folder.record, content)
    return {"checkpoint": str(folder.best), **figures}


def _length(recipe: Recipe, data: DataModule) -> tuple[float, int]:
    """The number of steps per epoch and of the run."""
    world = recipe.trainer.devices * recipe.trainer.num_nodes
    batches = len(EpochSampler(len(data.train_labels), recipe.data.batch_size, shuffle=True, world=world))
    epoch = batches / recipe.optimizer.accumulate
    return epoch, recipe.trainer.max_steps or math.ceil((recipe.trainer.max_epochs or 0) * epoch)


def _check_batch(recipe: Recipe, data: DataModule, net: nn.Module) -> None:
    """Batch normalisation cannot measure the spread of one number: it would say so in the middle of the run."""
    images = math.ceil(len(data.train_labels) / (recipe.trainer.devices * recipe.trainer.num_nodes))
    if min(recipe.data.batch_size, images) > 1:
        return
    try:
        copy.deepcopy(net).train()(torch.zeros(1, *data.shape))
    except ValueError as problem:
        raise OnebitError(
            f"{recipe.model.name} cannot train on batches of one image: batch normalisation needs more numbers",
            hint="set data.batch_size to 2 or more, and give each process two images at least",
        ) from problem


def _set_threads(recipe: Recipe) -> None:
    """Processes of one machine share its cores: threads that wait for a core cost many times what they save."""
    settings = recipe.trainer
    if settings.threads is not None or settings.devices > 1:
        torch.set_num_threads(settings.threads or max(1, torch.get_num_threads() // settings.devices))


def _info(recipe: Recipe, data: DataModule) -> dict[str, Any]:
    """The ``onebit`` entry of the checkpoints, without the step."""
    values = recipe.to_dict()
    return {
        "model": values["model"],
        "method": values["method"],
        "data": {"name": recipe.data.name, "options": recipe.data.options},
        "classes": list(data.classes),
        "samples": list(data.samples),
        "shape": list(data.shape),
        "mean": list(data.mean),
        "std": list(data.std),
        "recipe": values,
        "seed": recipe.seed,
    }
