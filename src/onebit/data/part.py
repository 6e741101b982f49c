"""The training or the test part of a data set: its labels, and loaders of its images."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from onebit.data.loader import Loader
from onebit.data.sampler import EpochSampler
from onebit.data.transform import Transform

Split = tuple[Tensor, Tensor]
"""Images uint8 (N, C, H, W) and labels int64 (N,)."""

_MAX_ON_DEVICE = 4 << 30
"""Bytes of images that are kept on the training device, where they are then augmented; larger sets stay in memory."""


@dataclass(frozen=True)
class Batching:
    """What every loader is made with.

    Attributes:
        augment: one of the data set's augmentations; None for images as they are evaluated.
        mean, std: one per channel.
        device: where batches are wanted.
        sampler: the order of the epochs.
        num_workers: threads that make batches ahead.
    """

    augment: str | None
    mean: Sequence[float]
    std: Sequence[float]
    device: torch.device
    sampler: EpochSampler
    num_workers: int


class Part(ABC):
    """Images with labels, of which batches are made.

    Attributes:
        labels: int64 (N,).
    """

    labels: Tensor

    @abstractmethod
    def select(self, numbers: Tensor, labels: Tensor) -> "Part":
        """The images of these numbers, int64 (M,), with other labels, int64 (M,)."""

    @abstractmethod
    def split(self) -> Split:
        """Images uint8 (N, C, H, W) and labels; raises OnebitError if they are not held in memory."""

    @abstractmethod
    def loader(self, batching: Batching) -> Loader:
        """Batches of all images; ``batching.sampler`` counts them."""


class MemoryPart(Part):
    """Images that are held in memory.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        colour: the data set's mean of pixel / 255 per channel, see :class:`onebit.data.transform.Transform`.
    """

    def __init__(self, images: Tensor, labels: Tensor, colour: Sequence[float]) -> None:
        self.images, self.labels, self.colour = images, labels, colour

    def select(self, numbers: Tensor, labels: Tensor) -> "MemoryPart":
        return MemoryPart(self.images[numbers], labels, self.colour)

    def split(self) -> Split:
        return self.images, self.labels

    def loader(self, batching: Batching) -> Loader:
        device = batching.device if self.images.nbytes <= _MAX_ON_DEVICE else self.images.device
        mean, std = (torch.tensor(values, device=device) for values in (batching.mean, batching.std))
        sides = self.images.shape[2], self.images.shape[3]
        transform = Transform(batching.augment or "none", mean, std, sides, self.colour)
        return Loader(self.images.to(device), self.labels.to(device), transform, batching.sampler, batching.num_workers)
