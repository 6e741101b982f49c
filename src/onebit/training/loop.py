"""The training loop: the steps, validations and checkpoints of a run."""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from torch import tensor
from torch.optim import Optimizer

from onebit.data import DataModule
from onebit.errors import OnebitError
from onebit.methods import Method
from onebit.nn.evaluating import evaluating
from onebit.training.averaging import Averaging
from onebit.training.checkpoint import read_checkpoint, write_checkpoint
from onebit.training.classifier import Classifier
from onebit.training.endless_loader import endless_loader
from onebit.training.fabric import gather
from onebit.training.folder import RunFolder
from onebit.training.history import History
from onebit.training.interruption import Interruption, Stopped
from onebit.training.nan_guard import check_finite, check_finite_weights
from onebit.training.progress import NoProgress
from onebit.training.recipe import Recipe
from onebit.training.rng import RngStream


class Loop:
    """Trains a classifier on this process, together with the other processes of the run.

    ``last.ckpt`` is written after each validation and at least every ``trainer.checkpoint_seconds``, ``best.ckpt`` when
    top-1 rises.

    Args:
        fabric: Fabric of the run, launched.
        classifier: belongs to this loop from now on.
        data: gives the batches; batch i of epoch e must be a function of its seed, i and e.
        recipe: recipe of the run.
        history: history of the run, with the number of its steps.
        folder: folder of the run, where checkpoints are written.
        info: the ``onebit`` entry of the checkpoints, without the step.

    Attributes:
        step: number of steps of the run that are done.
        best_top1: best top-1 accuracy of all validations.
        skipped: damaged files that the run left out up to its last checkpoint: the reason by the name.
    """

    def __init__(
        self,
        fabric: Fabric,
        classifier: Classifier,
        data: DataModule,
        recipe: Recipe,
        history: History,
        folder: RunFolder,
        info: dict[str, Any],
    ) -> None:
        self.fabric, self.classifier, self.data = fabric, classifier, data
        self.recipe, self.history, self.folder, self.info = recipe, history, folder, info
        self.steps, self.accumulate = history.steps, recipe.optimizer.accumulate
        self.validate_every = recipe.trainer.validate_every or max(1, round(history.steps_per_epoch))
        self.model = fabric.setup_module(classifier)
        optimizer, self.schedule = classifier.make_optimizer()
        self.optimizer = cast(Optimizer, fabric.setup_optimizers(optimizer))
        data.trainer = fabric  # type: ignore[assignment]  # its loaders read the device and the rank only
        self.train_loader, self.val_loader = data.train_dataloader(), data.val_dataloader()
        self.rng = RngStream(recipe.seed, fabric.global_rank, fabric.device)
        self.averaging = None if recipe.averaging is None else Averaging(recipe.averaging, self.steps)
        self.step, self.best_top1 = 0, -1.0
        self.skipped: dict[str, str] = {}
        self._saved = time.monotonic()

    def run(self, interruption: Interruption, progress: NoProgress) -> None:
        """Takes the remaining steps.

        Raises:
            Stopped: the user stopped the run, or a loss, a gradient or a weight is not finite.
        """
        fabric, model, method = self.fabric, self.model, self.classifier.method
        batches = endless_loader(self.train_loader, self.step * self.accumulate)
        self.history.begin(self.step, self.classifier.net, fabric.device)
        over = False
        while self.step < self.steps and not over:
            with self.rng:
                if method is not None:
                    method.step(self.step, self.steps)
            self.optimizer.zero_grad()
            for i in range(self.accumulate):
                batch = fabric.to_device(next(batches))
                with self.rng, fabric.no_backward_sync(model, enabled=i < self.accumulate - 1):
                    with fabric.autocast():
                        loss = model.training_step(batch, self.step * self.accumulate + i) / self.accumulate
                    fabric.backward(loss)
                self.history.add_batch(len(batch[1]) * fabric.world_size, loss)
            with self.rng:
                check_finite(fabric, self.classifier, batch, loss, self.step, self.folder)
                if method is not None:
                    method.before_update()
                self.optimizer.step()
            self.schedule.step()
            self.step += 1
            if self.averaging is not None:
                self.averaging.update(self.classifier, self.step)
            if figures := self.history.add_step(self.step, self.optimizer.param_groups[0]["lr"]):
                fabric.log_dict(figures, self.step)
            progress.step(self.step)

            stop, due, over = self._agree(interruption)
            if over or self.step == self.steps or self.step % self.validate_every == 0:
                self.validate(progress)
                stop = self._agree(interruption)[0]  # the user may have asked meanwhile
            elif stop or due:
                self.save(self.folder.last)
            if stop and self.step < self.steps:
                again = f"go on with: {self.folder.resume_command}"
                raise Stopped(f"stopped at step {self.step} of {self.steps}", hint=again)

    def validate(self, progress: NoProgress) -> None:
        """Evaluates the network, with its averaged weights if the recipe averages, and writes checkpoints."""
        averaged = nullcontext() if self.averaging is None else self.averaging.in_place_of(self.classifier)
        with self.history.validation(), averaged, evaluating(self.classifier), torch.inference_mode():
            for i, batch in enumerate(progress.validation(self.val_loader)):
                with self.fabric.autocast():
                    self.model.validation_step(self.fabric.to_device(batch), i)
            figures = {name: float(value) for name, value in self.classifier.compute_metrics().items()}
        self.history.add_validation(self.step, figures)
        self.fabric.log_dict(figures, self.step)
        better, self.best_top1 = figures["top1"] > self.best_top1, max(figures["top1"], self.best_top1)
        self.save(self.folder.last, *([self.folder.best] if better else []))

    def save(self, *paths: Path) -> None:
        """Writes the state of all processes of the run."""
        check_finite_weights(self.classifier, self.step)  # lost weights must not replace good ones
        for skipped in gather(self.fabric, self.data.skipped):
            self.skipped |= skipped
        content = self.state_dict()
        if self.fabric.is_global_zero:
            for path in paths:
                write_checkpoint(path, content)
        self.fabric.barrier()
        self._saved = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """The content of a checkpoint, in the layout of Lightning's trainer, which wrote those of older versions."""
        state, method = self.classifier.state_dict(), self.classifier.method
        callbacks = {"History": self.history.state_dict(), "Keeper": {"best_top1": self.best_top1}}
        if method is not None:
            callbacks[_method_keys(method)[0]] = method.state_dict()
        content = {
            "onebit": {**self.info, "step": self.step},
            "state_dict": state,
            "optimizer_states": [self.optimizer.state_dict()],
            "lr_schedulers": [self.schedule.state_dict()],
            "callbacks": callbacks,
            "Stream": {"position": self.step * self.accumulate, "epoch": len(self.train_loader)},
            "random_streams": gather(self.fabric, self.rng.state),
            "skipped": self.skipped,
        }
        if self.averaging is not None:
            content["state_dict"] = self.averaging.state_dict(state)
            content |= {"current_model_state": state, "averaging_state": {"n_averaged": self.averaging.count}}
        return content

    def load(self, path: str | Path) -> None:
        """Restores the state of a checkpoint of the same recipe.

        Raises:
            OnebitError: it is damaged, or was written with epochs of another length.
        """
        content, method = read_checkpoint(path), self.classifier.method
        now = len(self.train_loader)
        epoch = content["Stream"].get("epoch", now)
        if epoch != now:
            raise OnebitError(
                f"the checkpoint is of epochs of {epoch} batches per process, now they have {now}",
                hint="resume with the data, the devices and the machines that it was saved with",
            )
        self.step = content["onebit"]["step"]
        self.classifier.load_state_dict(content.get("current_model_state", content["state_dict"]))
        self.optimizer.load_state_dict(content["optimizer_states"][0])
        self.schedule.load_state_dict(content["lr_schedulers"][0])
        callbacks = content["callbacks"]
        self.history.load_state_dict(callbacks["History"])
        if self.folder.best.exists():
            self.best_top1 = callbacks["Keeper"]["best_top1"]
        if method is not None:
            for name in _method_keys(method):
                if name in callbacks:
                    method.load_state_dict(callbacks[name])
        if len(content["random_streams"]) == self.fabric.world_size:
            self.rng.state = content["random_streams"][self.fabric.global_rank]
        self.skipped = dict(content.get("skipped", {}))
        if self.averaging is not None:
            count = content["averaging_state"]["n_averaged"]
            self.averaging.load_state_dict(self.classifier, content["state_dict"], count)

    def _agree(self, interruption: Interruption) -> tuple[bool, bool, bool]:
        """Whether to stop, to save, to end as time is up: the same answer on all processes, which do it together."""
        settings = self.recipe.trainer
        wishes = [
            interruption.requested,
            time.monotonic() - self._saved >= settings.checkpoint_seconds,
            self.history.seconds >= settings.max_seconds,
        ]
        if self.fabric.world_size > 1:
            all_wishes = tensor(wishes, dtype=torch.int32, device=self.fabric.device)
            torch.distributed.all_reduce(all_wishes, torch.distributed.ReduceOp.MAX)
            wishes = all_wishes.bool().tolist()
        stop, due, over = wishes
        return stop, due, over


def _method_keys(method: Method) -> list[str]:
    """The keys of a method's state in checkpoints: its present name, then its former ones."""
    return [f"onebit.methods.{name}" for name in (type(method).__name__, *type(method).former_names)]
