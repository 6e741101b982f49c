"""Any folder of images by class."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from onebit.data.dataset import DataSet, Split, channel_statistics
from onebit.errors import OnebitError
from onebit.runtime.image import SUFFIXES, to_pixels


class Folder(DataSet):
    """Colour images from a folder: ``train/CLASS/*`` and ``test/CLASS/*`` (or ``val``), or ``CLASS/*`` split by a seed.

    Classes are the names of the folders in ascending order. An image is read as RGB and stretched to the stated size,
    as the packed model does on the device (``onebit.runtime.image``); all are held in memory, size² · 3 bytes each.
    Mean and standard deviation are those of the training part.

    Args:
        path: the folder.
        size: side of the square that every image is resized to, or (height, width).
        test_share: part of each class that is held out for the test, where the folder has no test part.
        seed: for that split.
        root: the folder that a relative path starts from, if the path does not exist by itself.

    Raises:
        OnebitError: there is no such folder, no image in it or in the training part of a class; an image cannot be
            read (all of them are named).

    Example:
        >>> from PIL import Image
        >>> folder = getfixture("tmp_path")
        >>> for name in ("cat", "dog"):
        ...     (folder / name).mkdir()
        ...     for i in range(5):
        ...         Image.new("RGB", (40, 30), (i, 0, 0)).save(folder / name / f"{i}.png")
        >>> pets = Folder(folder, size=8)
        >>> pets.classes, pets.train()[0].shape, pets.test()[0].shape
        (('cat', 'dog'), torch.Size([8, 3, 8, 8]), torch.Size([2, 3, 8, 8]))
    """

    name = "folder"

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: int | tuple[int, int],
        test_share: float = 0.2,
        seed: int = 0,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(root)
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 1 or not 0 < test_share < 1:
            raise OnebitError(
                f"data set folder: size {size}, test_share {test_share}",
                hint="give a size of at least 1 and a test_share between 0 and 1",
            )
        self.path = Path(path) if Path(path).is_dir() else self.root / path
        self.size, self.test_share, self.seed = (height, width), test_share, seed

    def folder(self) -> Path:
        if not self.path.is_dir():
            raise OnebitError(f"there is no folder {self.path}", hint="give the folder that holds a folder per class")
        return self.path

    @cached_property
    def classes(self) -> tuple[str, ...]:
        folder = self.folder()
        names = _folders(folder / "train" if (folder / "train").is_dir() else folder)
        if not names:
            raise OnebitError(f"{folder} holds no folder of images", hint="make a folder per class: CLASS/*.png")
        return names

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, *self.size

    @property
    def mean(self) -> tuple[float, ...]:
        return self._statistics[0]

    @property
    def std(self) -> tuple[float, ...]:
        return tuple(max(deviation, 1 / 255) for deviation in self._statistics[1])

    @cached_property
    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return channel_statistics(self.train()[0])

    @property
    def train_files(self) -> tuple[str, ...]:
        """Where the images of `train` lie under the folder, in their order, with slashes between the names."""
        return tuple(path.relative_to(self.folder()).as_posix() for path, _ in self._parts[0])

    @property
    def test_files(self) -> tuple[str, ...]:
        """As `train_files`, for `test`."""
        return tuple(path.relative_to(self.folder()).as_posix() for path, _ in self._parts[1])

    def train(self) -> Split:
        return self._train

    def test(self) -> Split:
        return self._read(self._parts[1], "test")

    @cached_property
    def _train(self) -> Split:
        files = self._parts[0]
        empty = sorted(set(range(len(self.classes))) - {label for _, label in files}) if files else []
        if empty:
            raise OnebitError(
                f"{self.folder()}: the class {self.classes[empty[0]]} has no image to train on",
                hint=f"add images ({', '.join(SUFFIXES)}), or remove its folder",
            )
        return self._read(files, "training")

    @cached_property
    def _parts(self) -> tuple[list[tuple[Path, int]], list[tuple[Path, int]]]:
        """The files of the training and of the test part with their labels."""
        folder = self.folder()
        if not (folder / "train").is_dir():
            return self._divide(self._files(folder))
        parts = [folder / name for name in ("test", "val") if (folder / name).is_dir()]
        if not parts:
            return self._divide(self._files(folder / "train"))
        foreign = sorted(set(_folders(parts[0])) - set(self.classes))
        if foreign:
            raise OnebitError(
                f"{parts[0] / foreign[0]}: a class that {folder / 'train'} does not have", hint="add it there"
            )
        return self._files(folder / "train"), self._files(parts[0])

    def _files(self, folder: Path) -> list[tuple[Path, int]]:
        return [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in sorted((folder / name).glob("**/*"))
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        ]

    def _divide(self, files: list[tuple[Path, int]]) -> tuple[list[tuple[Path, int]], list[tuple[Path, int]]]:
        train: list[tuple[Path, int]] = []
        test: list[tuple[Path, int]] = []
        for label in range(len(self.classes)):
            own = [item for item in files if item[1] == label]
            order = np.random.default_rng((self.seed, label)).permutation(len(own))
            held_out = set(order[: max(round(self.test_share * len(own)), int(len(own) > 1))].tolist())
            for number, item in enumerate(own):
                (test if number in held_out else train).append(item)
        return train, test

    def _read(self, files: list[tuple[Path, int]], part: str) -> Split:
        if not files:
            raise OnebitError(f"{self.folder()}: no images in its {part} part", hint=f"known: {', '.join(SUFFIXES)}")
        images = torch.empty(len(files), *self.shape, dtype=torch.uint8)
        unreadable = []
        console = Console(stderr=True)
        with ThreadPoolExecutor() as pool:
            decoded = pool.map(self._decode, (path for path, _ in files))
            progress = track(
                zip(files, decoded, strict=True),
                "reading images",
                len(files),
                console=console,
                transient=True,
                disable=not console.is_terminal,
            )
            for number, ((path, _), pixels) in enumerate(progress):
                if pixels is None:
                    unreadable.append(str(path))
                else:
                    images[number] = torch.from_numpy(pixels)
        if unreadable:
            raise OnebitError(
                f"{len(unreadable)} of {len(files)} images cannot be read: {', '.join(unreadable)}",
                hint="replace or delete them",
            )
        return images, torch.tensor([label for _, label in files])

    def _decode(self, path: Path) -> np.ndarray | None:
        """uint8 (3, H, W); None if it is no image."""
        try:
            return to_pixels(path, self.shape).transpose(2, 0, 1)
        except OnebitError:
            return None


def _folders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
