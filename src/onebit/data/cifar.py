"""CIFAR-10 and CIFAR-100: 32×32 colour images, as the Python pickles of their publication.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from onebit.data.dataset import DataSet, Source, Split, check_labels, verify
from onebit.data.pickles import read_pickle
from onebit.errors import OnebitError

_ADDRESSES = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
_DAMAGED = "the file is damaged: get the data set again"


class _CIFAR(DataSet):
    shape = (3, 32, 32)
    label_key: ClassVar[str]
    names_key: ClassVar[str]
    meta_file: ClassVar[str]
    train_files: ClassVar[tuple[str, ...]]
    test_files: ClassVar[tuple[str, ...]]
    checksums: ClassVar[dict[str, str]]

    def train(self) -> Split:
        return self._read(self.train_files)

    def test(self) -> Split:
        return self._read(self.test_files)

    def _verify(self, folder: Path, names: tuple[str, ...]) -> None:
        verify(folder, {name: self.checksums[name] for name in names})

    def _names(self) -> tuple[str, ...]:
        """All class names of the publication, from the file that holds them."""
        folder = self.folder()
        self._verify(folder, (self.meta_file,))
        names = read_pickle(folder / self.meta_file).get(self.names_key)
        if not isinstance(names, list) or not all(isinstance(name, (bytes, str)) for name in names):
            raise OnebitError(f"{folder / self.meta_file}: no class names in it", hint=_DAMAGED)
        return tuple(name.decode("latin1") if isinstance(name, bytes) else name for name in names)

    def _read(self, names: tuple[str, ...]) -> Split:
        folder = self.folder()
        self._verify(folder, names)
        parts = [self._batch(folder / name) for name in names]
        return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])

    def _batch(self, path: Path) -> Split:
        content = read_pickle(path)
        pixels, labels = content.get("data"), content.get(self.label_key)
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != 3 * 32 * 32:
            raise OnebitError(f"{path}: 'data' is not a matrix of rows of 3072 bytes", hint=_DAMAGED)
        if not isinstance(labels, list) or not _are_integers(labels) or len(labels) != len(pixels):
            raise OnebitError(
                f"{path}: '{self.label_key}' is not a list of {len(pixels)} integers",
                hint=_DAMAGED,
            )
        images = torch.from_numpy(pixels.reshape(-1, *self.shape).copy())
        return images, self._labels(labels, path)

    def _labels(self, labels: list[int], path: Path) -> Tensor:
        return check_labels(labels, len(self.classes), path)


def _are_integers(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int for value in values)


class CIFAR10(_CIFAR):
    """50,000 training and 10,000 test images of 10 classes.

    Mean and standard deviation are those of the training images.
    """

    name = "cifar10"
    counts = (50_000, 10_000)
    folders = ("cifar10/cifar-10-batches-py", "cifar-10-batches-py")
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    mean = (0.49139968, 0.48215841, 0.44653091)
    std = (0.24703223, 0.24348513, 0.26158784)
    label_key, names_key, meta_file = "labels", "label_names", "batches.meta"
    train_files = tuple(f"data_batch_{i}" for i in range(1, 6))
    test_files = ("test_batch",)
    source = Source(_ADDRESSES, {"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"}, "cifar-10-batches-py")
    checksums: ClassVar[dict[str, str]] = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    }


class CIFAR100(_CIFAR):
    """50,000 training and 10,000 test images of 100 classes (the fine labels)."""

    name = "cifar100"
    counts = (50_000, 10_000)
    folders = ("cifar100/cifar-100-python", "cifar-100-python")
    mean = (0.50707516, 0.48654887, 0.44091784)
    std = (0.26733429, 0.25643846, 0.27615047)
    label_key, names_key, meta_file = "fine_labels", "fine_label_names", "meta"
    train_files = ("train",)
    test_files = ("test",)
    source: ClassVar[Source | None] = Source(
        _ADDRESSES, {"cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85"}, "cifar-100-python"
    )
    checksums: ClassVar[dict[str, str]] = {
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    }

    @cached_property
    def classes(self) -> tuple[str, ...]:
        return self._names()


class CIFAR100Subset(CIFAR100):
    """A folder in the layout of CIFAR-100 that holds only some of its classes; labels are renumbered 0..k-1.

    The order of the original numbers is kept. Its files are not the published ones: they are compared with the
    ``SHA256SUMS`` file of the root if that names them. Mean and standard deviation are those of the whole CIFAR-100.
    """

    name = "cifar100_subset"
    source = None
    counts: ClassVar[None] = None  # type: ignore[assignment]
    folders = ("cifar100-subset/cifar-100-python", "cifar-100-python")

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """The original numbers of the classes that occur in the training file, ascending."""
        folder = self.folder()
        self._verify(folder, self.train_files)
        labels = read_pickle(folder / "train").get(self.label_key)
        if not _are_integers(labels) or not labels:
            raise OnebitError(f"{folder / 'train'}: no '{self.label_key}' in it", hint=_DAMAGED)
        return tuple(sorted(set(labels)))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        names = self._names()
        check_labels(self.kept, len(names), self.folder() / "train")
        return tuple(names[number] for number in self.kept)

    @property
    def note(self) -> str:
        return (
            f"{len(self.classes)} of the 100 classes of CIFAR-100, labels renumbered 0..{len(self.classes) - 1}: "
            "results on it are not CIFAR-100 results"
        )

    def _labels(self, labels: list[int], path: Path) -> Tensor:
        renumbered = {number: label for label, number in enumerate(self.kept)}
        foreign = sorted(set(labels) - set(renumbered))
        if foreign:
            raise OnebitError(f"{path}: class {foreign[0]} does not occur in the training file", hint=_DAMAGED)
        return torch.tensor([renumbered[number] for number in labels], dtype=torch.int64)

    def _verify(self, folder: Path, names: tuple[str, ...]) -> None:
        listed = _sha256sums(self.root, folder)
        verify(folder, {name: listed[name] for name in names if name in listed}, "sha256")
        for name in names:
            if not (folder / name).is_file():
                raise OnebitError(f"{folder / name} is missing", hint=f"{self.name} needs {', '.join(names)}")


def _sha256sums(root: Path, folder: Path) -> dict[str, str]:
    """The checksums of the files of a folder, by name, from the ``SHA256SUMS`` of the root; empty if there is none."""
    listing = root / "SHA256SUMS"
    if not listing.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in listing.read_text().splitlines() if line.strip())
    return {Path(name).name: digest for digest, name in pairs if root / name.lstrip("*") == folder / Path(name).name}
