"""ImageNet (ILSVRC2012) as a tree of folders, and any set of images that lies in the same way.

Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015.
"""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch

from onebit.data.image_file_set import ImageFileSet
from onebit.data.image_files import MAX_BYTES, ImageFiles
from onebit.errors import OnebitError
from onebit.runtime.image import SUFFIXES

LISTS = ("LOC_val_solution.csv", "val.txt")
"""Ground truth of a flat validation folder: a line per image, its name and its class (wnid, or number from 0)."""


class ImageNet(ImageFileSet):
    """``train/<wnid>/*.JPEG`` and ``val/<wnid>/*.JPEG``, or a flat ``val/*.JPEG`` with its list of classes.

    Classes are the names of the folders of ``train`` in ascending order, as everybody numbers ImageNet's. The list of a
    flat ``val`` is ``LOC_val_solution.csv`` (as published with the Kaggle download) or ``val.txt`` (name and class a
    line) beside it.

    Args:
        path: the folder that holds ``train`` and ``val``; by default the first of `folders` under the root. A relative
            path that does not exist by itself starts from the root.
        size, resize, on_corrupt, root: see :class:`onebit.data.image_file_set.ImageFileSet`.

    Raises:
        OnebitError: a folder or the list is missing, a class has no training image or the list names none that
            exists.

    Example:
        >>> from PIL import Image
        >>> folder = getfixture("tmp_path")
        >>> for part in ("train", "val"):
        ...     for name in ("n01440764", "n01443537"):
        ...         (folder / part / name).mkdir(parents=True)
        ...         Image.new("RGB", (40, 30)).save(folder / part / name / "0.JPEG")
        >>> small = ImageNet(folder, size=32)
        >>> small.classes, len(small.train_images), small.test_images.labels.tolist()
        (('n01440764', 'n01443537'), 2, [0, 1])
    """

    name = "imagenet"
    folders: ClassVar[tuple[str, ...]] = ("imagenet", "ILSVRC2012", "ILSVRC/Data/CLS-LOC")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        place = self._part("train")
        names = tuple(sorted(e.name for e in os.scandir(place) if e.is_dir() and not e.name.startswith(".")))
        if not names:
            raise OnebitError(f"{place} holds no folder of images", hint="one folder per class: train/<wnid>/*.JPEG")
        return names

    def _part(self, part: str) -> Path:
        place = self.folder() / part
        if not place.is_dir():
            raise OnebitError(f"there is no folder {place}", hint="ImageNet lies in train/<wnid>/ and val/<wnid>/")
        return place

    def _image_files(self, part: Literal["train", "val"]) -> ImageFiles:
        place = self._part(part)
        if part == "val" and not any(entry.is_dir() for entry in os.scandir(place)):
            return self._listed(place)
        foreign = sorted({e.name for e in os.scandir(place) if e.is_dir()} - set(self.classes))
        if foreign:
            raise OnebitError(f"{place / foreign[0]}: a class that train does not have", hint="add it there")
        files, labels = [], []
        for label, name in enumerate(self.classes):
            own = sorted(_images(place / name)) if (place / name).is_dir() else []
            if part == "train" and not own:
                raise OnebitError(f"{place / name} holds no image", hint=f"add some ({', '.join(SUFFIXES)})")
            files += [f"{name}/{file}" for file in own]
            labels += [label] * len(own)
        if not files:
            raise OnebitError(f"{place} holds no image", hint="ImageNet lies in train/<wnid>/ and val/<wnid>/")
        return _Files(place, files, labels)

    def _listed(self, place: Path) -> ImageFiles:
        """A flat folder with its list. Every image must be listed: one left out would raise the accuracy unseen."""
        places = [folder / name for folder in (place, place.parent) for name in LISTS]
        truth = next((path for path in places if path.is_file()), None)
        if truth is None:
            raise OnebitError(
                f"{place} is flat, and no list says the classes of its images",
                hint=f"put {' or '.join(LISTS)} beside it, or sort the images into a folder per class",
            )
        known = _read_list(truth, self.classes)
        files = sorted(_images(place))
        missing = next((file for file in files if Path(file).stem not in known), None)
        if missing is not None or not files:
            raise OnebitError(f"{truth} does not list {place / (missing or '*.JPEG')}", hint="take the published list")
        return _Files(place, files, [known[Path(file).stem] for file in files])


class _Files(ImageFiles):
    def __init__(self, folder: Path, files: list[str], labels: list[int]) -> None:
        self.folder = folder
        self.files = np.array(files, np.bytes_) if all(map(str.isascii, files)) else files  # no objects: a million
        self.labels = torch.tensor(labels)

    def name(self, number: int) -> str:
        file = self.files[number]
        return str(self.folder / (file.decode() if isinstance(file, bytes) else file))

    def read(self, number: int) -> bytes:
        with open(self.name(number), "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise OnebitError(f"a file of more than {MAX_BYTES >> 20} MiB is no image to train on")
        return content


def _images(folder: Path) -> list[str]:
    return [e.name for e in os.scandir(folder) if Path(e.name).suffix.lower() in SUFFIXES and e.name[0] != "."]


def _read_list(path: Path, classes: tuple[str, ...]) -> dict[str, int]:
    numbers = {name: label for label, name in enumerate(classes)} | {str(i): i for i in range(len(classes))}
    known = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = re.split(r"[,\s]+", line.strip())
        if words == [""] or words[0] == "ImageId":
            continue
        if len(words) < 2 or words[1] not in numbers:
            raise OnebitError(
                f"{path}, line {number}: no image and class that train has: {line[:80]!r}",
                hint="a line is: NAME WNID, or NAME NUMBER with numbers from 0 in the order of the wnids",
            )
        known[Path(words[0]).stem if Path(words[0]).suffix.lower() in SUFFIXES else words[0]] = numbers[words[1]]
    return known
