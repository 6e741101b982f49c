"""The interface of a data set, and the places where its files are looked for."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pooch
import torch
from torch import Tensor

from onebit.data.part import MemoryPart, Part, Split
from onebit.data.transform import AUGMENTATIONS
from onebit.errors import OnebitError

PartName = Literal["train", "test"]

_AGAIN = "delete {folder} and get the data set again: onebit data get NAME"


@dataclass(frozen=True)
class Source:
    """Where a data set is published.

    Attributes:
        addresses: folders on the web, each ending in a slash, that hold the files; tried in order.
        files: md5 of each file, by name.
        unpacked: the folder that the one file, an archive, holds; empty if the files are used as they are.
    """

    addresses: tuple[str, ...]
    files: dict[str, str]
    unpacked: str = ""


class DataSet(ABC):
    """Images by class, split into a training and a test part.

    Attributes:
        name: its name in the registry.
        counts: the images of the training and of the test part, where the publication fixes them.
        folders: where its files lie under the root, the first that exists is taken; empty if it has none.
        source: where `onebit.data.get` finds them; None if nowhere.
        augmentations: what `DataModule` may do to its training images.
    """

    name: ClassVar[str]
    counts: ClassVar[tuple[int, int] | None] = None
    folders: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[Source | None] = None
    augmentations: ClassVar[tuple[str, ...]] = tuple(AUGMENTATIONS)

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self.root = Path(root) if root is not None else default_root()

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""

    @property
    def resize(self) -> int | None:
        """Length of a test image's shorter side before its centre is cut; None if the whole is stretched."""
        return None

    @property
    @abstractmethod
    def mean(self) -> tuple[float, ...]:
        """Mean of pixel / 255 over the training part, one per channel."""

    @property
    @abstractmethod
    def std(self) -> tuple[float, ...]:
        """Standard deviation of pixel / 255 over the training part, one per channel."""

    @property
    def note(self) -> str:
        """A remark for readers of results on this data set; may be empty."""
        return ""

    @abstractmethod
    def train(self) -> Split:
        """The training part: images uint8 (N, C, H, W), labels int64 (N,)."""

    @abstractmethod
    def test(self) -> Split:
        """The test part, as `train`."""

    def part(self, name: PartName) -> Part:
        """The training or the test part, from which `DataModule` takes its batches."""
        return MemoryPart(*(self.train() if name == "train" else self.test()), self.mean)

    def sample(self, count: int) -> Split:
        """Training images for statistics: all of them, or about ``count`` where they are not held in memory."""
        return self.train()

    @property
    def skipped(self) -> dict[str, str]:
        """The images and shards that this process left out so far because they are damaged, and why."""
        return {}

    def check(self) -> dict[str, Any]:
        """Reads all of it, and with that compares checksums, shapes and labels; then counts.

        Returns:
            ``train`` and ``test``: how many images; ``classes``: their names; ``shape``: (C, H, W).

        Raises:
            OnebitError: the first thing that is wrong.
        """
        parts = self.train(), self.test()
        found = tuple(len(labels) for _, labels in parts)
        if self.counts not in (None, found):
            raise OnebitError(
                f"{self.name} holds {found[0]} training and {found[1]} test images, published are {self.counts}",
                hint="the files are damaged or of another data set",
            )
        for part, (_, labels) in zip(("training", "test"), parts, strict=True):
            absent = (labels.bincount(minlength=len(self.classes)) == 0).nonzero().flatten().tolist()
            if absent:
                raise OnebitError(
                    f"the {part} part of {self.name} has no image of {', '.join(self.classes[i] for i in absent)}",
                    hint="add images of every class",
                )
        return {
            "train": found[0],
            "test": found[1],
            "classes": list(self.classes),
            "shape": list(self.shape),
        }

    def folder(self) -> Path:
        """The folder of its files.

        Raises:
            OnebitError: there is none; says where it looked and how to get it.
        """
        for place in self.folders:
            if (self.root / place).is_dir():
                return self.root / place
        places = ", ".join(self.folders)
        get = "" if self.source is None else f"run: onebit data get {self.name}; or "
        raise OnebitError(
            f"the data set {self.name} is not in {self.root} (looked for {places})",
            hint=f"{get}set ONEBIT_DATA to the folder that holds it",
        )


def default_root() -> Path:
    """``$ONEBIT_DATA``, else the user's cache folder, where ``onebit data get`` puts data sets."""
    chosen = os.environ.get("ONEBIT_DATA")
    return Path(chosen) if chosen else Path(pooch.os_cache("onebit")) / "data"


def verify(folder: Path, checksums: Mapping[str, str], algorithm: str = "md5") -> None:
    """Compares files with their published checksums.

    Args:
        folder: where the files are.
        checksums: hexadecimal digest of each file, by its name in the folder.
        algorithm: a name that `hashlib.new` knows.

    Raises:
        OnebitError: a file is missing or its bytes are not the published ones.
    """
    for name, expected in checksums.items():
        path = folder / name
        if not path.is_file():
            raise OnebitError(f"{path} is missing", hint=_AGAIN.format(folder=folder))
        digest = hashlib.new(algorithm, usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != expected:
            raise OnebitError(
                f"{path} is not the published file: its {algorithm} is {digest.hexdigest()}, not {expected}",
                hint=_AGAIN.format(folder=folder),
            )


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of pixel / 255 for each channel of uint8 images (N, C, H, W), exact.

    Example:
        >>> channel_statistics(torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1))
        ((0.5,), (0.5,))
    """
    means, stds = [], []
    values = torch.arange(256, dtype=torch.float64) / 255
    for channel in images.transpose(0, 1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = (share * values).sum()
        means.append(mean.item())
        stds.append((share * (values - mean) ** 2).sum().sqrt().item())
    return tuple(means), tuple(stds)


def check_labels(labels: Sequence[int], classes: int, source: Path) -> Tensor:
    """The labels as int64 (N,).

    Raises:
        OnebitError: a label is outside [0, classes).
    """
    for number, label in enumerate(labels):
        if not 0 <= label < classes:
            raise OnebitError(
                f"{source}: label {label} of image {number} is not in [0, {classes})",
                hint="the file is damaged or of another data set",
            )
    return torch.tensor(labels, dtype=torch.int64)
