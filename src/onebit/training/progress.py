"""The progress bar of training: on stderr, one bar for the whole run."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from onebit.training.history import History


class ProgressBar(RichProgressBar):
    """Shows steps, speed, the time that remains, and the latest figures of the history."""

    def __init__(self, history: History) -> None:
        super().__init__(refresh_rate=10, console_kwargs={"stderr": True})
        self.history = history

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        if self.history.curve:
            figures |= {"loss": self.history.curve[-1]["loss"], "bits": self.history.curve[-1]["precision"]}
        if self.history.validations:
            figures["top1"] = self.history.validations[-1]["top1"]
        return figures

    def _get_train_description(self, current_epoch: int) -> str:
        return "training"
