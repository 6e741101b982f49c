"""Any folder of images by class."""

import os
import unicodedata
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from onebit.data.dataset import DataSet, Split, channel_statistics
from onebit.errors import OnebitError
from onebit.runtime.image import SUFFIXES, image_paths, to_pixels

_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")


class Folder(DataSet):
    """Colour images from a folder: ``train/CLASS/*`` and ``test/CLASS/*``, or ``CLASS/*`` split by a seed.

    The parts are known by these names, in any case: train or training; test, testing, val, valid or validation, of
    which the first that is there is used, and a warning names the others. Classes are the names of the folders in
    ascending order, in one Unicode form (NFC); folders whose names begin with a dot are passed over at any depth.

    An image is read as RGB and stretched to the stated size, as the packed model does on the device
    (``onebit.runtime.image``); all are held in memory, size² · 3 bytes each. Mean and standard deviation are those of
    the training part.

    Args:
        path: the folder.
        size: side of the square that every image is resized to, or (height, width).
        test_share: part of each class that is held out for the test, where the folder has no test part.
        seed: for that split.
        root: the folder that a relative path starts from, if the path does not exist by itself.

    Raises:
        OnebitError: there is no such folder, no image in it or in the training part of a class; an image cannot be
            read (all of them are named); a folder beside ``train`` is of no known part, the classes hold folders named
            as parts, or two classes have the same name.

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
        return tuple(self._train_folders)

    @cached_property
    def _train_folders(self) -> dict[str, Path]:
        folders = _class_folders(self._places[0])
        if not folders:
            raise OnebitError(f"{self.folder()} holds no folder of images", hint="make a folder per class: CLASS/*.png")
        return folders

    @cached_property
    def _places(self) -> tuple[Path, Path | None]:
        """The folder of the training part, the whole one where it is not divided, and that of the test part."""
        folder = self.folder()
        below = {path.name.lower(): path for path in _folders(folder)}
        train = next((below[name] for name in _TRAIN if name in below), None)
        if train is None:
            if below and set(below) <= set(_TEST):
                raise OnebitError(f"{folder}: {', '.join(below)} and no part to train on", hint="name that part train")
            inside = [path for kind in below.values() for path in _folders(kind) if path.name.lower() in _TRAIN]
            if inside:
                raise OnebitError(
                    f"{inside[0]}: a part of the set lies in a class",
                    hint="turn them round: train/CLASS and test/CLASS",
                )
            return folder, None
        unknown = sorted(path.name for name, path in below.items() if name not in {*_TRAIN, *_TEST})
        if unknown:
            raise OnebitError(
                f"{folder}: beside {train.name} lies {', '.join(unknown)}",
                hint=f"the parts are {train.name} and one of {', '.join(_TEST)}; move the others away",
            )
        tests = [below[name] for name in _TEST if name in below]
        if len(tests) > 1:
            warnings.warn(
                f"{folder}: {', '.join(path.name for path in tests[1:])} is not used, since {tests[0].name} is there",
                stacklevel=2,
            )
        return train, tests[0] if tests else None

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
        train, test = self._places
        if test is None:
            return self._divide(self._files(self._train_folders))
        folders = _class_folders(test)
        foreign = sorted(set(folders) - set(self.classes))
        if foreign:
            raise OnebitError(f"{folders[foreign[0]]}: a class that {train} does not have", hint="add it there")
        return self._files(self._train_folders), self._files(folders)

    def _files(self, folders: dict[str, Path]) -> list[tuple[Path, int]]:
        return [
            (path, label)
            for label, name in enumerate(self.classes)
            if name in folders
            for path in image_paths(folders[name])
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


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _class_folders(folder: Path) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for path in _folders(folder):
        name = unicodedata.normalize("NFC", path.name)
        if name in folders:
            raise OnebitError(
                f"{folder}: two folders are named {name}, in two forms of Unicode", hint="put their images into one"
            )
        folders[name] = path
    return dict(sorted(folders.items()))
