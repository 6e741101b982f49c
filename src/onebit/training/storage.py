"""Lightning's checkpoint files: written whole or not at all, read without unpickling."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from onebit.files import atomic_file
from onebit.training.checkpoint import read_checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames; a full disk or a power cut leaves the old file."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        content = io.BytesIO()  # torch.save to a file hides what the disk said behind an error of its own
        torch.save(checkpoint, content)
        with atomic_file(path, force=True) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path))
