"""Copy weights with re-init: a live head for the experience beside a consolidated one that keeps what was learned."""

from typing import Any

import torch
from torch import Tensor

from onebit.continual.naive import NaiveFineTuning


class CWR(NaiveFineTuning):
    """CWR: the rows of an experience's classes are learned by themselves, and copied.

        tw_j <- small random numbers for each j in J;  SGD on tw over the classes of J alone
        cw_j <- tw_j for each j in J;  past_j <- past_j + cur_j

    with J the classes of the experience and cur_j their samples. It was made for classes that come once: one that comes
    again is learned anew. The paper's factors w_i on the copy are 1 here.

    Arguments as for :class:`NaiveFineTuning`.

    Source: Lomonaco and Maltoni, "CORe50", 2017, section 5; Maltoni and Lomonaco, "Continuous learning in
    single-incremental-task scenarios", 2019, algorithm 1.

    Example:
        >>> head = CWR(torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([5, 5, 0]))
        >>> head.learn(torch.tensor([[3.0], [3.5]]), torch.tensor([2, 2]))
        >>> head.past.tolist()
        [5, 5, 2]
    """

    def _learn(self, inputs: Tensor, labels: Tensor, current: Tensor) -> None:
        here = current > 0
        random = 0.01 * torch.randn(self.weight.shape, generator=self.generator, dtype=self.weight.dtype)
        live = self._trained(torch.where(here[:, None], random, 0), inputs, labels, here)
        self.weight[here] = live[here]
        self.past += current
        self.experiences += 1


class CWRStar(NaiveFineTuning):
    """CWR*: seen rows start from what was consolidated, and are averaged with it by the samples seen.

    With J the classes of the experience and cur_j their samples::

        tw <- 0, tw_j <- cw_j for each seen j in J;  SGD on tw over all classes
        mu = mean of all entries of the rows of tw in J;  w_j = tw_j - mu
        new class:  cw_j <- w_j
        seen class: cw_j <- (cw_j r + w_j) / (r + 1),  r = sqrt(past_j / cur_j);  past_j <- past_j + cur_j

    ``weight`` is cw. The mean of the rows seen is taken from them at the start, as after any experience.

    Args:
        weight, past, tail, options: as for :class:`NaiveFineTuning`.
        count_replayed: with a replay memory, J and cur count what is replayed too, as the reference code does; False
            lets ``past`` grow by fresh samples only.

    Source: Lomonaco, Maltoni, Pellegrini, "Rehearsal-free continual learning over small non-i.i.d. batches", 2020,
    algorithm 1.

    Example:
        >>> head = CWRStar(torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([5, 5, 0]))
        >>> head.learn(torch.tensor([[-3.0], [-3.5]]), torch.tensor([2, 2]))
        >>> head.predict(torch.tensor([[2.0]]))
        tensor([0])
    """

    def __init__(self, weight: Tensor, past: Tensor, *args: Any, count_replayed: bool = True, **options: Any) -> None:
        super().__init__(weight, past, *args, **options)
        self.count_replayed = count_replayed
        seen = self.past > 0
        if seen.any():
            self.weight[seen] -= self.weight[seen].mean()

    def _learn(self, inputs: Tensor, labels: Tensor, current: Tensor) -> None:
        here, seen = current > 0, self.past > 0
        live = torch.where((here & seen)[:, None], self.weight, torch.zeros_like(self.weight))
        live = self._trained(live, inputs, labels, here | seen)
        ratio = (self.past[here] / current[here]).sqrt().to(live.dtype)[:, None]
        self.weight[here] = (self.weight[here] * ratio + live[here] - live[here].mean()) / (ratio + 1)
        self.past += current if self.count_replayed else torch.bincount(labels, minlength=len(self.past))
        self.experiences += 1
