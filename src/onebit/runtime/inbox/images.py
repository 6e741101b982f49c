"""Labelled images on a disk: one folder per class, a list, or files of one class."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onebit.errors import OnebitError
from onebit.runtime.image import SUFFIXES, image_paths

LISTS = (".csv", ".tsv", ".txt")
"""Which files are read as lists: one line per image, its path, a tab or a comma, and its class."""


@dataclass(frozen=True)
class LabelledImages:
    """Paths of images, and the class of each."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def split(self, share: float) -> tuple["LabelledImages", "LabelledImages"]:
        """Two parts: the second has a share of each class, at least one image if the class has two.

        Which ones is fixed by their number in the class: the same images are split the same way.

        Raises:
            OnebitError: ``share`` is not between 0 and 1, or a part is empty.

        Example:
            >>> few = LabelledImages(tuple(Path(f"{i}.png") for i in range(6)), ("cat",) * 5 + ("dog",))
            >>> [len(part) for part in few.split(0.2)]
            [5, 1]
        """
        if not 0 < share < 1:
            raise OnebitError(f"a share of {share} cannot be held out", hint="give one between 0 and 1, such as 0.2")
        held_out: set[int] = set()
        for name in dict.fromkeys(self.names):
            own = [i for i, other in enumerate(self.names) if other == name]
            order = np.random.default_rng(0).permutation(len(own))
            held_out |= {own[i] for i in order[: max(round(share * len(own)), int(len(own) > 1))]}
        if not 0 < len(held_out) < len(self):
            raise OnebitError(f"of {len(self)} images a share of {share} cannot be held out", hint="give more images")
        return self._part(set(range(len(self))) - held_out), self._part(held_out)

    def _part(self, chosen: set[int]) -> "LabelledImages":
        keep = sorted(chosen)
        return LabelledImages(tuple(self.paths[i] for i in keep), tuple(self.names[i] for i in keep))


def read_images(items: Sequence[str | os.PathLike[str]], name: str | None = None) -> LabelledImages:
    """The images that a person names.

    Args:
        items: a folder with a subfolder per class; or a list (``.csv``, ``.tsv``, ``.txt``) with a line ``path,class``
            or ``path<TAB>class`` per image, paths relative to its folder; or, with ``name``, images and folders of
            them.
        name: the class of all images.

    Raises:
        OnebitError: there is no image, a class has none, or a line of a list is wrong (its number is said).

    Example:
        >>> folder = getfixture("tmp_path")
        >>> (folder / "cat").mkdir()
        >>> (folder / "cat" / "a.png").touch()
        >>> read_images([folder]).names
        ('cat',)
        >>> _ = (folder / "list.csv").write_text("cat/a.png,tiger")
        >>> read_images([folder / "list.csv"]).names
        ('tiger',)
    """
    places = [Path(item) for item in items]
    if name is not None:
        paths = [path for place in places for path in (_images(place) if place.is_dir() else [place])]
        return LabelledImages(tuple(paths), (name,) * len(paths))
    place = places[0]
    if len(places) == 1 and place.suffix.lower() in LISTS and place.is_file():
        return _read_list(place)
    if len(places) > 1 or not place.is_dir():
        raise OnebitError(
            f"{place} is no folder of class folders and no list" if len(places) == 1 else "several items have no class",
            hint="name a folder with a subfolder per class or a list, or say the class with --name",
        )
    pairs = [(path, kind.name) for kind in class_folders(place) for path in _images(kind)]
    if not pairs:
        raise OnebitError(f"{place} has no subfolder with images", hint="one subfolder per class, or images and --name")
    return _unzip(pairs)


def class_folders(folder: Path) -> list[Path]:
    """The folders that stand for classes, in ascending order; hidden ones do not."""
    return sorted(kind for kind in folder.iterdir() if kind.is_dir() and not kind.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    """At least one, or a class would not be learned."""
    found = image_paths(folder)
    if not found:
        raise OnebitError(f"{folder} holds no image", hint=f"images end in {', '.join(SUFFIXES)}")
    return found


def _read_list(path: Path) -> LabelledImages:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise OnebitError(f"{path} is not text in UTF-8", hint="save it as UTF-8") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter="\t" if "\t" in line else ","))]
        if len(cells) != 2 or not all(cells):
            raise OnebitError(f"{path}, line {number}: not a path and a class", hint="write: path,class")
        image = path.parent / cells[0]
        if not image.is_file():
            raise OnebitError(
                f"{path}, line {number}: there is no file {image}", hint="paths start at the list's folder"
            )
        pairs.append((image, cells[1]))
    if not pairs:
        raise OnebitError(f"{path} names no image", hint="write one line per image: path,class")
    return _unzip(pairs)


def _unzip(pairs: Sequence[tuple[Path, str]]) -> LabelledImages:
    return LabelledImages(tuple(path for path, _ in pairs), tuple(name for _, name in pairs))
