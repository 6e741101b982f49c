"""Training on everything so far: what a continual learner could at best come near."""

import torch
from torch import Tensor

from onebit.continual.naive import NaiveFineTuning


class Cumulative(NaiveFineTuning):
    """Keeps all samples and goes on training on all of them at each experience; the upper bound.

    It needs no frozen part: with the whole network as tail (:func:`~onebit.continual.split` at its first module) its
    inputs are images. BatchNorm goes on measuring.

    Arguments as for :class:`NaiveFineTuning`.

    Example:
        >>> learner = Cumulative(torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))
        >>> learner.learn(torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 0]))
        >>> learner.learn(torch.tensor([[3.0]]), torch.tensor([1]))
        >>> learner.past.tolist(), len(learner.labels)
        ([2, 1], 3)
    """

    inputs: Tensor | None = None
    labels = torch.empty(0, dtype=torch.int64)

    def learn(self, inputs: Tensor, labels: Tensor) -> None:
        self._check_experience(inputs, labels)
        self.inputs = inputs if self.inputs is None else torch.cat([self.inputs, inputs])
        self.labels = torch.cat([self.labels, labels])
        self.past += torch.bincount(labels, minlength=len(self.past))
        self.weight = self._trained(self.weight, self.inputs, self.labels, self.past > 0)
