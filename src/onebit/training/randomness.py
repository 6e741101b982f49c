"""The random stream of the training steps."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

State = dict[str, Any]


class RandomStream(Callback):
    """Gives the training steps random generators (Python's, NumPy's, PyTorch's) that nothing else draws from.

    Whatever a loader, a validation or a logger draws between two steps leaves the stream as it was, so a resumed run
    draws what the unbroken run would have drawn. Each process of a distributed run has a stream of its own; the
    checkpoint holds them all.

    Args:
        seed: of the streams.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: list[State] = []  # one per process, as in a checkpoint
        self._stream: State | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if len(self._streams) == trainer.world_size:
            self._stream = self._streams[trainer.global_rank]
            return
        sequence = np.random.SeedSequence((self.seed, trainer.global_rank))
        seed = int(sequence.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the stream of code that uses NumPy's global generator
        torch.manual_seed(seed)
        self._stream = _capture(pl_module.device)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        assert self._stream is not None
        _restore(self._stream, pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._stream = _capture(pl_module.device)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        streams: list[Any] = [self._stream]
        if trainer.world_size > 1:
            streams = [None] * trainer.world_size
            torch.distributed.all_gather_object(streams, self._stream)
        checkpoint["random_streams"] = streams

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._streams = checkpoint["random_streams"]


def _capture(device: torch.device) -> State:
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    state: State = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _restore(state: State, device: torch.device) -> None:
    kind, keys, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
