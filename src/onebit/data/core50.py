"""CORe50: 50 household objects filmed in 11 sessions, made for continual learning.

Lomonaco and Maltoni, "CORe50: a new dataset and benchmark for continuous object recognition", CoRL 2017;
https://vlomonaco.github.io/core50.
"""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from onebit.data.dataset import DataSet
from onebit.data.folder import Folder
from onebit.errors import OnebitError

CATEGORIES = (
    "plug_adapter",
    "mobile_phone",
    "scissor",
    "light_bulb",
    "can",
    "glass",
    "ball",
    "marker",
    "cup",
    "remote_control",
)
SESSIONS, OBJECTS, TEST_SESSIONS = range(1, 12), range(1, 51), (3, 7, 10)
_FRAME = re.compile(r"C_(\d\d)_(\d\d)_\d{3}\.png")


class CORe50(Folder):
    """The published folder ``core50_128x128/s1..s11/o1..o50/C_ss_oo_fff.png``; sessions 3, 7 and 10 are the test part.

    Five objects running make a category. All images are held in memory, size² · 3 bytes each: 5.9 GB of training images
    at 128, 0.4 GB at 32. Only tested on made-up files in this layout.

    Args:
        path: the folder that holds ``s1`` to ``s11``; None looks for it in ``root``.
        size: side that every image is resized to; 128 keeps them as they are.
        level: the classes: 50 ``object`` or 10 ``category``.
        root: the folder that holds data sets.

    Raises:
        OnebitError: another level; a file that is not named after its folder; else as :class:`Folder`.
    """

    name = "core50"
    counts = (119_894, 44_972)
    folders = ("core50/core50_128x128", "core50_128x128")

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        size: int = 128,
        level: Literal["object", "category"] = "object",
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        if level not in ("object", "category"):
            raise OnebitError(f"data set core50: level {level!r}", hint="choose object or category")
        super().__init__("" if path is None else path, size, root=root)
        self.found = path is None
        self.level = level

    def folder(self) -> Path:
        return DataSet.folder(self) if self.found else super().folder()

    @cached_property
    def classes(self) -> tuple[str, ...]:
        if self.level == "category":
            return CATEGORIES
        return tuple(f"{category}{number}" for category in CATEGORIES for number in range(1, 6))

    @property
    def train_sessions(self) -> Tensor:
        """int64 (N,): the session, 1 to 11, of each image of `train`."""
        return torch.tensor([_numbers(path)[0] for path, _ in self._parts[0]])

    @property
    def train_objects(self) -> Tensor:
        """int64 (N,): the object, 1 to 50, of each image of `train`."""
        return torch.tensor([_numbers(path)[1] for path, _ in self._parts[0]])

    @cached_property
    def _parts(self) -> tuple[list[tuple[Path, int]], list[tuple[Path, int]]]:
        train: list[tuple[Path, int]] = []
        test: list[tuple[Path, int]] = []
        for session in SESSIONS:
            for number in OBJECTS:
                label = number - 1 if self.level == "object" else (number - 1) // 5
                for path in sorted((self.folder() / f"s{session}" / f"o{number}").glob("[!.]*")):
                    if _numbers(path) != (session, number):
                        wanted = f"C_{session:02}_{number:02}_FFF.png"
                        raise OnebitError(f"{path} is not named {wanted}", hint="unpack CORe50 again")
                    (test if session in TEST_SESSIONS else train).append((path, label))
        return train, test


def _numbers(path: Path) -> tuple[int, int]:
    """Session and object of an image, from its name; zeros if it is no name of an image."""
    found = _FRAME.fullmatch(path.name)
    return (int(found[1]), int(found[2])) if found else (0, 0)
