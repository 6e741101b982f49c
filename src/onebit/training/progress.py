"""The progress of training, on stderr: a bar for the whole run on a terminal, else a line now and then."""

import sys
import time
from datetime import timedelta
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from onebit.training.history import History


class ProgressBar(RichProgressBar):
    """Shows steps, the time that remains, images per second, and the latest figures of the history."""

    def __init__(self, history: History) -> None:
        super().__init__(refresh_rate=10, console_kwargs={"stderr": True})
        self.history = history

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        figures: dict[str, Any] = {"images/s": round(self.history.images_per_second)}
        if self.history.curve:
            figures |= {"loss": self.history.curve[-1]["loss"], "bits": self.history.curve[-1]["precision"]}
        if self.history.validations:
            figures["top1"] = self.history.validations[-1]["top1"]
        return figures

    def _get_train_description(self, current_epoch: int) -> str:
        return "training"


class ProgressLines(Callback):
    """Prints a line every so many seconds, for logs.

    Args:
        history: of the run.
        seconds: between two lines, at least.
    """

    def __init__(self, history: History, seconds: float = 60.0) -> None:
        self.history, self.seconds = history, seconds
        self._printed = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() - self._printed >= self.seconds and trainer.global_step < self.history.steps:
            self._printed = time.monotonic()
            print(line(self.history, trainer.global_step), file=sys.stderr, flush=True)


def line(history: History, step: int) -> str:
    """Where a run stands, such as ``step 812 of 4000: loss 1.234, top-1 45.2 %, 1,234 images/s, 0:05:12 left``."""
    figures = [f"loss {history.curve[-1]['loss']:.3f}"] if history.curve else []
    if history.validations:
        figures.append(f"top-1 {history.validations[-1]['top1']:.1%}")
    figures.append(f"{history.images_per_second:,.0f} images/s")
    left = history.seconds_left(step)
    if left < float("inf"):
        figures.append(f"{timedelta(seconds=round(left))} left")
    return f"step {step} of {history.steps}: {', '.join(figures)}"
