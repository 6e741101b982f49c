"""The two checkpoints of a run: the best and the last."""

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import tensor
from torch.nn.utils import get_total_norm

from onebit.errors import OnebitError
from onebit.training.folder import RunFolder
from onebit.training.interruption import Interruption


class Stopped(OnebitError):
    """The run ends at this step on all its processes: the user stopped it, or its loss is lost."""


class Keeper(Callback):
    """Writes ``last.ckpt`` after each validation and at least every ``seconds``, and ``best.ckpt`` when top-1 rises.

    Args:
        folder: of the run.
        info: the ``onebit`` entry of the checkpoints, less the step.
        seconds: the most time between two writes, so the most work that a power cut can lose.
        steps: the length of the run.
        interruption: asks to save and stop.
    """

    def __init__(
        self, folder: RunFolder, info: dict[str, Any], seconds: float, steps: int, interruption: Interruption
    ) -> None:
        self.folder = folder
        self.info = info
        self.seconds = seconds
        self.steps = steps
        self.interruption = interruption
        self.best_top1 = -1.0
        self._saved = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.interruption.listen()  # Lightning ends the process at SIGTERM, without a checkpoint

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # between two steps
        if trainer.global_step == self.steps:
            trainer.should_stop = True  # makes Lightning validate now, wherever the last step falls
        if trainer.should_stop or (batch_idx + 1) % int(trainer.val_check_batch or batch_idx + 2) == 0:
            return  # the validation that follows belongs to the state to be saved
        stop, due = self._agree(trainer)
        if stop or due:
            self._save(trainer, pl_module, self.folder.last)
        if stop:
            self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        top1 = float(trainer.callback_metrics["top1"])
        better, self.best_top1 = top1 > self.best_top1, max(top1, self.best_top1)
        self._save(trainer, pl_module, self.folder.last)
        if better:
            self._save(trainer, pl_module, self.folder.best)
        if self._agree(trainer)[0] and trainer.global_step < self.steps:
            self._stop(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["onebit"] = {**self.info, "step": trainer.global_step}

    def state_dict(self) -> dict[str, Any]:
        return {"best_top1": self.best_top1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.folder.best.exists():
            self.best_top1 = state_dict["best_top1"]

    def _agree(self, trainer: Trainer) -> tuple[bool, bool]:
        """Whether to stop, and whether to save: the same answer on every process, since saving is done together."""
        stop, due = self.interruption.requested, time.monotonic() - self._saved >= self.seconds
        if trainer.world_size > 1:
            wishes = tensor([stop, due], dtype=torch.int32, device=trainer.strategy.root_device)
            torch.distributed.all_reduce(wishes, torch.distributed.ReduceOp.MAX)
            stop, due = map(bool, wishes.tolist())
        return stop, due

    def _check_finite(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finite gradients can still make weights that are not."""
        if not get_total_norm(pl_module.parameters()).isfinite():
            raise Stopped(f"the weights after step {trainer.global_step} are not finite", hint="lower optimizer.lr")

    def _save(self, trainer: Trainer, pl_module: LightningModule, path: Path) -> None:
        self._check_finite(trainer, pl_module)  # a state that is lost must not replace one that is not
        trainer.save_checkpoint(path)
        self._saved = time.monotonic()

    def _stop(self, trainer: Trainer) -> None:
        raise Stopped(
            f"stopped at step {trainer.global_step} of {self.steps}", hint=f"go on with: {self.folder.resume_command}"
        )
