"""Data sets whose images stay in their files: what they offer, and what is done about a damaged one."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from onebit.data.dataset import DataSet, Split
from onebit.errors import OnebitError
from onebit.runtime.image import fit, to_pil

if TYPE_CHECKING:
    from PIL.Image import Image

OnCorrupt = Literal["error", "skip"]
MAX_BYTES = 1 << 28
"""The size limit of an image file. ImageNet's largest has 15 MB."""


class Faults:
    """What to do about an image or a shard that cannot be read, and a record of those met.

    Args:
        on_corrupt: ``error`` raises at the first; ``skip`` leaves it out and counts it.

    Attributes:
        skipped: why, by name. An image that is met again counts once.

    Example:
        >>> faults = Faults("skip")
        >>> faults.meet("a.jpg", OnebitError("cut off"))
        >>> faults.skipped
        {'a.jpg': 'cut off'}
    """

    def __init__(self, on_corrupt: OnCorrupt) -> None:
        if on_corrupt not in ("error", "skip"):
            raise OnebitError(f"on_corrupt is {on_corrupt!r}", hint="choose error or skip")
        self.on_corrupt = on_corrupt
        self.skipped: dict[str, str] = {}

    def meet(self, name: str, problem: Exception) -> None:
        """Takes note of one that cannot be read, or raises OnebitError with its name."""
        reason = problem.message if isinstance(problem, OnebitError) else getattr(problem, "strerror", None)
        reason = (reason or str(problem)).removeprefix("the image: ")
        if self.on_corrupt == "error":
            raise OnebitError(
                f"{name}: {reason}", hint="replace it, or leave out such files with data.options.on_corrupt skip"
            ) from problem
        self.skipped[name] = reason


class ImageFiles(ABC):
    """Image files in a fixed order, read one at a time from any thread.

    Attributes:
        labels: int64 (N,).
    """

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def name(self, number: int) -> str:
        """The place of an image, for people."""

    @abstractmethod
    def read(self, number: int) -> bytes:
        """The bytes of the image file; raises OSError, or OnebitError if it is not to be read."""

    def decode(self, number: int, faults: Faults) -> "Image | None":
        """The image in RGB; None if it cannot be read and ``faults`` lets it be left out."""
        try:
            return to_pil(self.read(number))
        except (OnebitError, OSError) as problem:
            faults.meet(self.name(number), problem)
            return None


class ImageFileSet(DataSet):
    """A data set of image files that are decoded when a batch wants them; only their places and labels are in memory.

    Args:
        path: its folder; None looks for one of the usual names in ``root``.
        size: side of the square that a network sees, or (height, width).
        resize: what the shorter side of a test image becomes before its centre is cut; None keeps the usual
            proportion of 256 to 224.
        on_corrupt: ``error`` or ``skip``, see :class:`Faults`.
        root: the folder that holds data sets.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        size: int | tuple[int, int] = 224,
        resize: int | None = None,
        on_corrupt: OnCorrupt = "error",
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(root)
        self.path = path
        self.size: tuple[int, int] = (size, size) if isinstance(size, int) else (size[0], size[1])
        self._resize = round(max(self.size) * 256 / 224) if resize is None else resize
        if min(self.size) < 1 or self._resize < max(self.size):
            raise OnebitError(
                f"data set {self.name}: size {size}, resize {resize}",
                hint="give a size of 1 or more, resize not below it",
            )
        self.faults = Faults(on_corrupt)

    def folder(self) -> Path:
        return super().folder() if self.path is None else _find_folder(self.path, self.root)

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, *self.size

    @property
    def resize(self) -> int:
        return self._resize

    @property
    def mean(self) -> tuple[float, ...]:
        """The usual one for ImageNet's training part."""
        return 0.485, 0.456, 0.406

    @property
    def std(self) -> tuple[float, ...]:
        """The usual one for ImageNet's training part."""
        return 0.229, 0.224, 0.225

    @cached_property
    def train_images(self) -> ImageFiles:
        """The training part."""
        return self._image_files("train")

    @cached_property
    def test_images(self) -> ImageFiles:
        """The validation part, whose labels are published."""
        return self._image_files("val")

    @abstractmethod
    def _image_files(self, part: Literal["train", "val"]) -> ImageFiles:
        """Finds the images of a part."""

    def train(self) -> Split:
        raise self._not_in_memory()

    def test(self) -> Split:
        raise self._not_in_memory()

    def check(self) -> dict[str, Any]:
        """Decodes every image, then counts.

        Raises:
            OnebitError: some cannot be read; names them. Under ``on_corrupt: skip`` they are not counted instead.
        """
        found = Faults("skip")
        counts = {
            part: self._readable(files, found)
            for part, files in (("train", self.train_images), ("test", self.test_images))
        }
        if found.skipped and self.faults.on_corrupt == "error":
            raise OnebitError(
                f"{len(found.skipped)} images cannot be read: {', '.join(found.skipped)}",
                hint="replace them, or leave them out with data.options.on_corrupt skip",
            )
        self.faults.skipped |= found.skipped
        return {**counts, "classes": list(self.classes), "shape": list(self.shape)}

    def sample(self, count: int) -> Split:
        """Some images, spread over the training part, cut as test images are; otherwise as `train`."""
        files = self.train_images
        numbers = torch.linspace(0, len(files) - 1, min(count, len(files))).long().tolist()
        decoded = [(number, files.decode(number, self.faults)) for number in numbers]
        kept = [(number, image) for number, image in decoded if image is not None]
        cut = [fit(image, self.size, self.resize) for _, image in kept]
        images = torch.from_numpy(np.stack([np.asarray(part) for part in cut])).permute(0, 3, 1, 2)
        return images, files.labels[[number for number, _ in kept]]

    def _readable(self, files: ImageFiles, faults: Faults) -> int:
        console = Console(stderr=True)
        with ThreadPoolExecutor() as pool:
            done = _mapped(pool, lambda number: files.decode(number, faults) is not None, len(files))
            shown = track(
                done, "decoding", len(files), console=console, transient=True, disable=not console.is_terminal
            )
            return sum(shown)

    def _not_in_memory(self) -> OnebitError:
        return OnebitError(
            f"the images of {self.name} are decoded as a batch wants them, not held in memory",
            hint="take batches from onebit.data.DataModule",
        )


def _mapped(pool: ThreadPoolExecutor, function: Any, count: int, block: int = 1 << 10) -> Iterator[bool]:
    """``pool.map`` that does not make a million futures at once."""
    for start in range(0, count, block):
        yield from pool.map(function, range(start, min(start + block, count)))


def _find_folder(path: str | os.PathLike[str], root: Path) -> Path:
    """The folder ``path`` by itself, or else under ``root``.

    Raises:
        OnebitError: there is none.
    """
    place = Path(path) if Path(path).is_dir() else root / path
    if not place.is_dir():
        raise OnebitError(f"there is no folder {place}", hint="name one with data.options.path, or set ONEBIT_DATA")
    return place
