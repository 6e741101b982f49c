"""The replay memory: latents of past samples, of a capacity fixed up front."""

import math

import torch
from torch import Tensor

from onebit.continual.binarizer import LatentBinarizer
from onebit.errors import OnebitError

LABEL_BYTES = 2


class ReplayMemory:
    """At most ``capacity`` latents with their labels; binary ones take one bit per value.

    After experience i (from 0) ``h = min(RM / (i + 1), N_new)`` random new latents replace as many random ones,
    whatever their class; RM is the capacity, and as long as places are free they are taken first.

    Binary latents are packed as everywhere in onebit: the channels of a pixel side by side, little-endian, 1 for -1 and
    0 for +1. Each takes ``ceil(numbers / 8)`` bytes, and a label 2.

    Args:
        capacity: latents.
        binarizer: for one bit per value; None keeps float32.
        seed: for the choice.

    Source: Pellegrini, Graffieti, Lomonaco, Maltoni, "Latent replay for real-time continual learning", 2020,
    section III.

    Example:
        >>> memory = ReplayMemory(3)
        >>> memory.update(torch.randn(8, 2), torch.arange(8))
        >>> len(memory), memory.bytes
        (3, 30)
    """

    def __init__(self, capacity: int, binarizer: LatentBinarizer | None = None, seed: int = 0) -> None:
        if capacity < 1:
            raise OnebitError(f"a replay memory of {capacity} latents", hint="give it room for one or more")
        self.capacity = capacity
        self.binarizer = binarizer
        self.generator = torch.Generator().manual_seed(seed)
        self.updates = 0
        self.shape: torch.Size | None = None
        self.labels = torch.empty(0, dtype=torch.int64)
        self._stored: Tensor | None = None  # (items, numbers) float32, or (items, bytes) uint8

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bytes(self) -> int:
        """Its size when full; 0 before the first update, since it knows no shape."""
        if self.shape is None:
            return 0
        return self.capacity * item_bytes(math.prod(self.shape), self.binarizer is not None)

    def update(self, latents: Tensor, labels: Tensor) -> None:
        """Takes in part of an experience, after it was learned.

        Args:
            latents: (n, ...).
            labels: int64 (n,).
        """
        self.shape = latents.shape[1:]
        count = min(self.capacity // (self.updates + 1), len(labels))
        self.updates += 1
        chosen = torch.randperm(len(labels), generator=self.generator)[:count]
        rows, fresh = self._packed(latents[chosen]), labels[chosen]
        if self._stored is None:
            self._stored = rows[:0]
        free = min(self.capacity - len(self), count)
        places = torch.randperm(len(self), generator=self.generator)[: count - free]
        self._stored[places], self.labels[places] = rows[free:], fresh[free:]
        self._stored = torch.cat([self._stored, rows[:free]])
        self.labels = torch.cat([self.labels, fresh[:free]])

    def __getitem__(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and labels at these places; binary latents as the binariser makes them."""
        if self._stored is None or self.shape is None:
            raise IndexError("the replay memory is empty")
        rows = self._stored[places]
        if self.binarizer is not None:
            return self.binarizer.unpack(rows, self.shape), self.labels[places]
        return rows.view(-1, *self.shape), self.labels[places]

    def _packed(self, latents: Tensor) -> Tensor:
        return latents.flatten(1).float() if self.binarizer is None else self.binarizer.pack(latents)


def item_bytes(numbers: int, binary: bool) -> int:
    """Bytes of one latent of so many numbers, with its label.

    Example:
        >>> 300 * item_bytes(4 * 4 * 512, binary=True), 300 * item_bytes(4 * 4 * 512, binary=False)
        (307800, 9831000)
    """
    return (-(-numbers // 8) if binary else 4 * numbers) + LABEL_BYTES


def items_in(size: int, numbers: int, binary: bool) -> int:
    """Capacity of a memory of ``size`` bytes.

    Example:
        >>> items_in(1 << 20, 4 * 4 * 512, binary=True)
        1022
    """
    return size // item_bytes(numbers, binary)
