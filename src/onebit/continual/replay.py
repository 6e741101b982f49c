"""Learning the layers above a cut while replaying latents of the past."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from onebit.continual.cwr import CWRStar
from onebit.continual.memory import ReplayMemory
from onebit.continual.naive import NaiveFineTuning


class _Replay(NaiveFineTuning):
    """Mixes new and replayed latents in every mini-batch."""

    def __init__(
        self,
        weight: Tensor,
        past: Tensor,
        tail: nn.Module,
        memory: ReplayMemory,
        *,
        replayed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(weight, past, tail, **options)
        self.memory = memory
        self.replayed = replayed

    def learn(self, inputs: Tensor, labels: Tensor) -> None:
        self._check_experience(inputs, labels)
        binarizer = self.memory.binarizer
        if binarizer is not None and binarizer.scale is None:
            binarizer.measure(inputs)
        self._learn(inputs, labels, torch.bincount(torch.cat([labels, self.memory.labels]), minlength=len(self.past)))
        self.memory.update(inputs, labels)

    def _encoded(self, inputs: Tensor) -> Tensor:
        return inputs if self.memory.binarizer is None else self.memory.binarizer(inputs)

    def _batches(self, inputs: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        if len(self.memory) == 0:
            yield from super()._batches(inputs, labels)
            return
        new, old = self._shares(len(labels))
        fresh, kept = self._drawn(len(labels), new), self._turns(old)
        for _ in range(self.steps):
            chosen = next(fresh)
            replayed, replayed_labels = self.memory[next(kept)]
            yield torch.cat([inputs[chosen], replayed]), torch.cat([labels[chosen], replayed_labels])

    def _shares(self, count: int) -> tuple[int, int]:
        if self.replayed is not None:
            return self.batch, min(self.replayed, len(self.memory))
        new = round(self.batch * count / (count + len(self.memory)))
        new = min(max(new, 1), self.batch - 1)
        return new, self.batch - new

    def _turns(self, count: int) -> Iterator[Tensor]:
        """Indices of ``count`` items at a time: all take their turns, in a new order each round."""
        waiting = torch.empty(0, dtype=torch.int64)
        while True:
            while len(waiting) < count:
                waiting = torch.cat([waiting, torch.randperm(len(self.memory), generator=self.generator)])
            yield waiting[:count]
            waiting = waiting[count:]


class LatentReplay(_Replay):
    """Latent replay with a plain head: fine-tuning that keeps a few latents of the past among the new ones.

    With a binariser in the memory, latents take one bit, and fresh ones are binarised alike before they are used.

    Args:
        weight, past, options: as for :class:`NaiveFineTuning`.
        tail: the layers above the cut; from :func:`~onebit.continual.split`.
        memory: where latents are kept.
        replayed: latents that join the ``batch`` new ones, or all if there are fewer (arXiv 2401.09916: 128 to 50).
            None: a batch is divided as new ones and memory are, round(batch N_new / (N_new + items)) of it being new,
            as Pellegrini et al. do.

    Source: Pellegrini, Graffieti, Lomonaco, Maltoni, "Latent replay for real-time continual learning", 2020; the bits:
    Vorabbi, Maltoni, Santi, arXiv 2401.09916.

    Example:
        >>> memory = ReplayMemory(4)
        >>> learner = LatentReplay(torch.zeros(3, 2), torch.zeros(3).long(), nn.Linear(2, 2), memory, steps=5)
        >>> learner.learn(torch.randn(9, 2), torch.arange(9) % 3)
        >>> len(memory), learner.predict(torch.randn(7, 2)).shape
        (4, torch.Size([7]))
    """


class AR1Star(_Replay, CWRStar):
    """AR1* with latent replay: the layers above the cut are trained, and the head is consolidated as in CWR*.

    It is AR1*free of the paper: without the Synaptic Intelligence term, which replay makes superfluous there. The
    layers below the cut stand still, and the statistics of BatchNorm above it after experience 0 (the paper slows the
    former down and renormalises the latter).

    Args:
        weight, past, options: as for :class:`~onebit.continual.CWRStar`.
        tail, memory, replayed: as for :class:`LatentReplay`.

    Source: as for :class:`LatentReplay`, and Lomonaco, Maltoni, Pellegrini, "Rehearsal-free continual learning over
    small non-i.i.d. batches", 2020.
    """
