"""Batches cut from one tensor of images that stays in memory: no fetching image by image, no worker processes."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from torch import Generator, Tensor

from onebit.data.sampler import EpochSampler

Batch = tuple[Tensor, Tensor]
"""Normalised images float32 (n, C, H, W) and labels int64 (n,)."""


class Loader:
    """Iterates over the batches of an epoch; each new iteration is the next epoch.

    It is stateful in the sense of PyTorch's ``StatefulDataLoader``: `state_dict` after batch k and `load_state_dict` go
    on with batch k + 1 of the same order, with the same random augmentation. Lightning saves it in its checkpoints.

    Args:
        images: uint8 (N, C, H, W), on the device where batches are wanted.
        labels: int64 (N,), on the same device.
        transform: makes a batch of uint8 images into network input; draws from the generator only.
        sampler: the order of the epochs.
        num_workers: threads that prepare batches ahead; 0 prepares each when it is asked for.

    Example:
        >>> import torch
        >>> images, labels = torch.zeros(6, 1, 2, 2, dtype=torch.uint8), torch.arange(6)
        >>> loader = Loader(images, labels, lambda x, generator: x.float(), EpochSampler(6, 4, shuffle=False))
        >>> [labels.tolist() for _, labels in loader]
        [[0, 1, 2, 3], [4, 5]]
    """

    batch_sampler = None  # Lightning asks for it of whatever has a sampler

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        transform: Callable[[Tensor, Generator], Tensor],
        sampler: EpochSampler,
        num_workers: int = 0,
    ) -> None:
        self.images, self.labels = images, labels
        self.transform = transform
        self.sampler = sampler
        self.num_workers = num_workers

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        # A generator starts at its first next(): Lightning calls iter() before it restores state or sets the epoch.
        start = self.sampler.begin()
        batches = enumerate(self.sampler.batches()[start:], start)
        tasks = ((indices, self.sampler.generator(position)) for position, indices in batches)
        for batch in self._made(tasks):
            self.sampler.position += 1  # before the batch is given: a state saved during its step counts it
            yield batch

    def _made(self, tasks: Iterator[tuple[Tensor, Generator]]) -> Iterator[Batch]:
        if self.num_workers == 0:
            yield from (self._make(*task) for task in tasks)
            return
        with ThreadPoolExecutor(self.num_workers, thread_name_prefix="loader") as pool:
            ahead: deque[Future[Batch]] = deque()
            try:
                for task in tasks:
                    ahead.append(pool.submit(self._make, *task))
                    if len(ahead) > self.num_workers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _make(self, indices: Tensor, generator: Generator) -> Batch:
        indices = indices.to(self.images.device)
        return self.transform(self.images.index_select(0, indices), generator), self.labels[indices]

    def state_dict(self) -> dict[str, Any]:
        """The position in the epoch, in plain numbers."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on after the last batch that was given; raises OnebitError if the epoch was divided otherwise."""
        self.sampler.load_state_dict(state)
