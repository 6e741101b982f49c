"""The damaged files that a run left out, over all its processes and sessions."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from onebit.data import DataModule


class Skips(Callback):
    """Collects them at each checkpoint.

    Args:
        data: notes them on this process.

    Attributes:
        names: why, by name, up to the last checkpoint.
    """

    def __init__(self, data: DataModule) -> None:
        self.data = data
        self.names: dict[str, str] = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        parts: list[Any] = [dict(self.data.skipped)]
        if trainer.world_size > 1:
            parts = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, dict(self.data.skipped))
        for part in parts:
            self.names |= part
        checkpoint["skipped"] = self.names

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.names = dict(checkpoint.get("skipped", {}))
