"""The training batches of a whole run as one sequence."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from lightning.pytorch import LightningDataModule

from onebit.data import DataModule
from onebit.data.loader import Batch, Loader
from onebit.errors import OnebitError


class Stream(LightningDataModule):
    """Presents the epochs of a data module to Lightning as one long epoch of ``steps`` batches.

    A position in the run is then one number, the step, wherever it lies in an epoch, and the progress bar shows the
    whole run.

    Args:
        data: gives the loaders; its batch i of epoch e must be a function of its seed, i and e.
        steps: the length of the run.
    """

    def __init__(self, data: DataModule, steps: int) -> None:
        super().__init__()
        self.data = data
        self.steps = steps
        self.position = 0
        self.epoch = 0  # batches of this process; 0 until known

    def train_dataloader(self) -> "_Batches":
        self.data.trainer = self.trainer  # its loaders go by the trainer's device and rank
        loader = self.data.train_dataloader()
        if self.epoch not in (0, len(loader)):
            raise OnebitError(
                f"the checkpoint is of epochs of {self.epoch} batches per process, now they have {len(loader)}",
                hint="resume with the data, the devices and the machines that it was saved with",
            )
        self.epoch = len(loader)
        return _Batches(self, loader)

    def val_dataloader(self) -> Loader:
        self.data.trainer = self.trainer
        return self.data.val_dataloader()

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.position, self.epoch = state_dict["position"], state_dict.get("epoch", 0)


class _Batches:
    def __init__(self, stream: Stream, loader: Loader) -> None:
        self.stream, self.loader = stream, loader

    def __len__(self) -> int:
        return self.stream.steps

    def __iter__(self) -> Iterator[Batch]:
        stream = self.stream
        while stream.position < stream.steps:
            epoch, position = divmod(stream.position, len(self.loader))
            here = {"epoch": epoch, "position": position}
            self.loader.load_state_dict({**self.loader.state_dict(), **here})
            for batch in islice(self.loader, stream.steps - stream.position):
                stream.position += 1
                yield batch
