"""Data sets whose images stay in their files."""

import os
from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from onebit.data.dataset import DataSet, PartName
from onebit.data.image_file_loader import AUGMENTATIONS, ImageFileLoader
from onebit.data.image_files import Faults, ImageFiles, OnCorrupt
from onebit.data.part import Batching, Part, Split
from onebit.errors import OnebitError
from onebit.runtime.image import fit


class ImageFileSet(DataSet):
    """A data set of image files that are decoded when a batch wants them; only their places and labels are in memory.

    Args:
        path: its folder; None looks for one of the usual names in ``root``.
        size: side of the square that a network sees, or (height, width).
        resize: length of a test image's shorter side before its centre is cut; None keeps the usual proportion of
            256 to 224.
        on_corrupt: ``error`` or ``skip``, see :class:`Faults`.
        root: the folder that holds data sets.
    """

    augmentations = tuple(AUGMENTATIONS)

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
        return self.part("train").split()

    def test(self) -> Split:
        return self.part("test").split()

    def part(self, name: PartName) -> "FilePart":
        files = self.train_images if name == "train" else self.test_images
        return FilePart(self, files, torch.arange(len(files)), files.labels)

    @property
    def skipped(self) -> dict[str, str]:
        return self.faults.skipped

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


class FilePart(Part):
    """Some image files of a data set.

    Args:
        data_set: theirs.
        files: where to read from.
        numbers: the files that are used, int64 (N,).
        labels: int64 (N,), theirs.
    """

    def __init__(self, data_set: ImageFileSet, files: ImageFiles, numbers: Tensor, labels: Tensor) -> None:
        self.data_set, self.files, self.numbers, self.labels = data_set, files, numbers, labels

    def select(self, numbers: Tensor, labels: Tensor) -> "FilePart":
        return FilePart(self.data_set, self.files, self.numbers[numbers], labels)

    def split(self) -> Split:
        raise OnebitError(
            f"the images of {self.data_set.name} are decoded as a batch wants them, not held in memory",
            hint="take batches from onebit.data.DataModule",
        )

    def loader(self, batching: Batching) -> ImageFileLoader:
        return ImageFileLoader(
            self.files,
            self.numbers,
            self.labels,
            size=self.data_set.size,
            resize=self.data_set.resize,
            augmentation=None if batching.augment is None else AUGMENTATIONS[batching.augment],
            training=batching.augment is not None,
            mean=batching.mean,
            std=batching.std,
            device=batching.device,
            sampler=batching.sampler,
            num_workers=batching.num_workers,
            faults=self.data_set.faults,
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
