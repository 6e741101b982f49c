"""The order of an epoch: a function of the seed and the epoch's number alone, and resumable at any batch."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onebit.errors import OnebitError


def seeded(*numbers: int) -> torch.Generator:
    """A CPU generator whose stream depends on all the numbers (non-negative).

    The CPU generator of PyTorch uses 32 bits of its seed only, so the numbers are first mixed by NumPy's
    ``SeedSequence``.

    Example:
        >>> a, b, c = (torch.rand(1, generator=seeded(*key)) for key in [(0, 1), (0, 1), (1, 0)])
        >>> bool(a == b), bool(a == c)
        (True, False)
    """
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


class EpochSampler:
    """Says which images make up which batch, and where an epoch stands.

    Each of ``world`` processes takes every ``world``-th image of the epoch's order. In training the order is first
    filled up from its beginning to a multiple of ``world``, so that all processes take the same number of steps. A last
    batch of a single image, which batch normalisation could not use, joins the batch before it.

    Args:
        count: number of images.
        batch_size: images per batch and process.
        shuffle: a random order, another one each epoch; else the given order, and nothing is filled up.
        seed: for the orders.
        rank: number of this process.
        world: number of processes.

    Attributes:
        epoch: the epoch that the next batch belongs to.
        position: how many batches of it have been given.

    Example:
        >>> sampler = EpochSampler(5, batch_size=2, shuffle=False)
        >>> [batch.tolist() for batch in sampler.batches()]
        [[0, 1], [2, 3, 4]]
    """

    def __init__(
        self, count: int, batch_size: int, *, shuffle: bool, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        if count < 1:
            raise OnebitError("there are no images to make batches of", hint="keep at least one class with images")
        if batch_size < 1:
            raise OnebitError(f"batch_size is {batch_size}", hint="give a batch at least one image")
        if seed < 0:
            raise OnebitError(f"the seed is {seed}", hint="give a seed of 0 or more")
        self.count, self.batch_size, self.shuffle, self.seed = count, batch_size, shuffle, seed
        self.rank, self.world = rank, world
        self.epoch = 0
        self.position = 0
        self._resuming = False

    def __len__(self) -> int:
        """Batches an epoch on this process."""
        images = math.ceil(self.count / self.world) if self.shuffle else len(range(self.rank, self.count, self.world))
        whole, rest = divmod(images, self.batch_size)
        return whole + (rest > 1 or (rest == 1 and whole == 0))

    def batches(self) -> list[Tensor]:
        """The image numbers, int64 (n,), of every batch of the current epoch on this process."""
        order = torch.arange(self.count)
        if self.shuffle:
            order = torch.randperm(self.count, generator=seeded(self.seed, self.epoch))
            order = order[torch.arange(math.ceil(self.count / self.world) * self.world) % self.count]
        mine = order[self.rank :: self.world]
        cuts = tuple(range(self.batch_size, len(self) * self.batch_size, self.batch_size))
        return list(mine.tensor_split(cuts))[: len(self)]

    def generator(self, position: int) -> torch.Generator:
        """The source of randomness of one batch: the same whenever and wherever the batch is made."""
        return seeded(self.seed, self.epoch, position, self.rank)

    def begin(self) -> int:
        """Begins the next pass and returns the batch that it starts with: 0, except after `load_state_dict`."""
        if self._resuming:
            self._resuming = False
        elif self.position:
            self.epoch, self.position = self.epoch + 1, 0
        return self.position

    def set_epoch(self, epoch: int) -> None:
        """Goes to the beginning of an epoch, unless this very epoch is being resumed."""
        if not (self._resuming and epoch == self.epoch):
            self.epoch, self.position, self._resuming = epoch, 0, False

    def state_dict(self) -> dict[str, Any]:
        """The position in the epoch, in plain numbers."""
        return {"epoch": self.epoch, "position": self.position, "batches": len(self), "seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on after the last batch that was given.

        Raises:
            OnebitError: the state is from the middle of an epoch that was divided otherwise.
        """
        ended = state["position"] >= state["batches"]
        if not ended and state["position"] and (state["batches"], state["seed"]) != (len(self), self.seed):
            raise OnebitError(
                f"cannot resume in the middle of an epoch of {state['batches']} batches with seed {state['seed']}: "
                f"now it has {len(self)} with seed {self.seed}",
                hint="resume with the data, batch size, seed and number of processes it was saved with",
            )
        self.epoch = state["epoch"] + ended
        self.position = 0 if ended else state["position"]
        self._resuming = True
