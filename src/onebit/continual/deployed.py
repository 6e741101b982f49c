"""A device's learner among the strategies."""

from typing import Any

import torch
from torch import Tensor

import onebit
from onebit.continual.strategy import Strategy
from onebit.errors import OnebitError


class Deployed(Strategy):
    """An :class:`onebit.Learner` as a strategy: what a device would make of a stream.

    Its inputs are images, float32 (n, C, H, W), normalised as in training. Classes are named after their numbers.

    Args:
        learner: is taught in place; stays open.
        trained: experiences at the start of the stream that the model was trained on. They are not taught again.
        options: those of :meth:`onebit.Learner.teach`.

    Raises:
        OnebitError: the learner knows a class whose name is no number.

    Example:
        >>> from onebit import deploy, models
        >>> folder = getfixture("tmp_path")
        >>> net, known = models.create("small", num_classes=3), {"classes": "012", "samples": [5, 5, 5]}
        >>> _ = deploy.export(net, folder / "m.obn", torch.randn(2, 1, 8, 8), **known)
        >>> with onebit.Learner.create(folder / "store", onebit.load(folder / "m.obn")) as learner:
        ...     strategy = Deployed(learner, steps=1)
        ...     strategy.learn(torch.randn(3, 1, 8, 8), torch.tensor([4, 4, 0]))
        >>> strategy.past.tolist()
        [6, 5, 5, 0, 2]
    """

    def __init__(self, learner: onebit.Learner, *, trained: int = 0, **options: Any) -> None:
        self.learner, self.options = learner, options
        self._trained = trained
        self._count()

    def learn(self, inputs: Tensor, labels: Tensor) -> None:
        if self._trained:
            self._trained -= 1
            return
        self.learner.teach(inputs.numpy(), [str(label) for label in labels.tolist()], **self.options)
        self._count()

    def predict(self, inputs: Tensor) -> Tensor:
        return self._numbers()[torch.from_numpy(self.learner.scores(inputs.numpy())).argmax(dim=1)]

    def _numbers(self) -> Tensor:
        for name in self.learner.classes:
            if not name.isdecimal():
                raise OnebitError(f"class {name!r} is no number of a stream", hint="export with numbers for names")
        return torch.tensor([int(name) for name in self.learner.classes], dtype=torch.int64)

    def _count(self) -> None:
        numbers = self._numbers()
        samples = torch.tensor(list(self.learner.classes.values()), dtype=torch.int64)
        self.past = torch.zeros(int(numbers.max()) + 1 if len(numbers) else 0, dtype=torch.int64)
        self.past[numbers] = samples
