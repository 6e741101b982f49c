"""Batches for training, validation and test as a Lightning data module."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from onebit.data.dataset import DataSet
from onebit.data.loader import Loader
from onebit.data.part import Batching, Part, Split
from onebit.data.registry import create
from onebit.data.sampler import EpochSampler, seeded
from onebit.errors import OnebitError, nearest


class DataModule(LightningDataModule):
    """Loaders of one data set: normalised float32 images (n, C, H, W) and int64 labels (n,).

    Normalisation is (pixel / 255 - mean) / std. The test part is also the validation part, as in the papers, unless
    training images are held out for it.

    Args:
        name: a data set of `onebit.data.names()`.
        options: arguments of the data set.
        batch_size: images per batch and process.
        augment: for the training part: ``none``; ``flip_crop``: crop with padding 4, flip; ``cyclebnn``: these, then
            AutoAugment's CIFAR-10 policy, then Cutout of 16 pixels (pixels of CIFAR's 32; in proportion for others),
            with the data set's mean colour where ``flip_crop`` has black.
            For images that stay in their files: ``flip_crop``: a random part of 0.08 to 1 of the area, flip;
            ``reactnet``: the same, then lighting of 0.1; ``cyclebnn``: 0.08 to 1.25, flip, lighting of 0.1.
        classes: keep only these classes (names or numbers) and relabel them 0..k-1 in this order; None keeps all.
        seed: for order and augmentation: batch i of epoch e is the same in every run.
        num_workers: threads that prepare batches ahead; 0 prepares each when it is asked for.
        normalize: False takes pixel / 255 as it is: mean 0, std 1.
        validation: training images that are held out and make up the validation part, the same ones whatever the seed;
            0 validates on the test part.

    Raises:
        OnebitError: an argument names nothing that exists, or the data set is missing or damaged.

    Example:
        >>> module = DataModule("digits", batch_size=32, classes=["3", "8"])
        >>> images, labels = next(iter(module.train_dataloader()))
        >>> images.shape, module.classes, module.samples
        (torch.Size([32, 1, 8, 8]), ('3', '8'), (146, 139))
    """

    def __init__(
        self,
        name: str,
        options: dict[str, Any] | None = None,
        batch_size: int = 64,
        augment: Literal["none", "flip_crop", "cyclebnn", "reactnet"] = "none",
        classes: Sequence[str | int] | None = None,
        seed: int = 0,
        num_workers: int = 0,
        normalize: bool = True,
        validation: int = 0,
    ) -> None:
        super().__init__()
        self.name, self.options = name, dict(options or {})
        self.batch_size, self.augment, self.seed = batch_size, augment, seed
        self.num_workers, self.normalize = num_workers, normalize
        self.data_set: DataSet = create(name, **self.options)
        known = self.data_set.augmentations
        if augment not in known:
            raise OnebitError(f"there is no augmentation '{augment}' of {name}", hint=f"choose from {', '.join(known)}")
        self.validation = validation
        self._kept = None if classes is None else _numbers(classes, self.data_set)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels."""
        names = self.data_set.classes
        return names if self._kept is None else tuple(names[number] for number in self._kept)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self.data_set.shape

    @property
    def mean(self) -> tuple[float, ...]:
        """The mean that is subtracted from pixel / 255, one per channel."""
        return self.data_set.mean if self.normalize else (0.0,) * self.shape[0]

    @property
    def std(self) -> tuple[float, ...]:
        """The deviation that the difference is divided by, one per channel."""
        return self.data_set.std if self.normalize else (1.0,) * self.shape[0]

    @property
    def train_labels(self) -> Tensor:
        """The labels of the training part, int64 (N,)."""
        return self._parts[0].labels

    @property
    def samples(self) -> tuple[int, ...]:
        """Training images of each class."""
        return tuple(self.train_labels.bincount(minlength=len(self.classes)).tolist())

    @property
    def skipped(self) -> dict[str, str]:
        """The images and shards that this process left out so far because they are damaged, and why."""
        return self.data_set.skipped

    @property
    def train_split(self) -> Split:
        """The training part, of the kept classes, without what is held out: images uint8 (N, C, H, W), int64 (N,)."""
        return self._parts[0].split()

    @property
    def test_split(self) -> Split:
        """The test part, as `train_split`."""
        return self._test.split()

    @cached_property
    def _parts(self) -> tuple[Part, Part]:
        """The images to train on, and those held out."""
        whole = self._keep(self.data_set.part("train"))
        labels = whole.labels
        if not self.validation:
            return whole, whole.select(torch.arange(0), labels[:0])
        if self.validation >= len(labels):
            raise OnebitError(
                f"{self.validation} of {len(labels)} training images are to be held out", hint="lower data.validation"
            )
        order = torch.randperm(len(labels), generator=seeded(len(labels)))
        held, rest = (order[part].sort().values for part in (slice(self.validation), slice(self.validation, None)))
        return whole.select(rest, labels[rest]), whole.select(held, labels[held])

    @cached_property
    def _test(self) -> Part:
        return self._keep(self.data_set.part("test"))

    def train_dataloader(self) -> Loader:
        """Augmented batches in an order of their own each epoch."""
        return self._loader(self._parts[0], self.augment, self.mean, self.std, self.batch_size)

    def val_dataloader(self) -> Loader:
        """The validation part, in its order."""
        if not self.validation:
            return self.test_dataloader()
        return self._loader(self._parts[1], None, self.mean, self.std, self.batch_size)

    def test_dataloader(self) -> Loader:
        """The test part, in its order."""
        return self.held_out(self.mean, self.std, self.batch_size)

    def held_out(self, mean: Sequence[float], std: Sequence[float], batch_size: int = 256) -> Loader:
        """The test part, in its order, normalised as the model to be measured wants it.

        Args:
            mean, std: one per channel; images become (pixel / 255 - mean) / std.
            batch_size: images at a time.
        """
        return self._loader(self._test, None, mean, std, batch_size)

    def _loader(
        self, part: Part, augment: str | None, mean: Sequence[float], std: Sequence[float], batch_size: int
    ) -> Loader:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        sampler = self._sampler(len(part.labels), batch_size, shuffle=augment is not None)
        return part.loader(Batching(augment, mean, std, device, sampler, self.num_workers))

    def _sampler(self, count: int, batch_size: int, *, shuffle: bool) -> EpochSampler:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return EpochSampler(count, batch_size, shuffle=shuffle, seed=self.seed, rank=rank, world=world)

    def _keep(self, part: Part) -> Part:
        """The images of the kept classes, relabelled."""
        if self._kept is None:
            return part
        renumbered = torch.full((len(self.data_set.classes),), -1)
        renumbered[list(self._kept)] = torch.arange(len(self._kept))
        labels = renumbered[part.labels]
        numbers = (labels >= 0).nonzero().flatten()
        return part.select(numbers, labels[numbers])


def _numbers(classes: Sequence[str | int], data_set: DataSet) -> tuple[int, ...]:
    """The labels that the data set gives to classes stated by name or number."""
    names = data_set.classes
    by_name: Mapping[str, int] = {name: label for label, name in enumerate(names)}
    numbers = []
    for wanted in classes:
        label = by_name.get(wanted, -1) if isinstance(wanted, str) else wanted
        if not 0 <= label < len(names):
            hint = nearest(str(wanted), names, f"its classes: {', '.join(names)}")
            raise OnebitError(f"the data set {data_set.name} has no class {wanted!r}", hint=hint)
        numbers.append(label)
    if not numbers or len(set(numbers)) != len(numbers):
        raise OnebitError(f"classes of {data_set.name}: {list(classes)}", hint="name one class or more, each once")
    return tuple(numbers)
