"""Naive fine-tuning, and with it the training that the other learners share."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from onebit.continual.arithmetic import Arithmetic
from onebit.continual.strategy import Strategy

_NORMS = (nn.modules.batchnorm._BatchNorm,)
CHUNK = 256


class NaiveFineTuning(Strategy):
    """Goes on training on the new samples alone; what it forgets is what a continual method must keep.

    A head is a matrix of rows, and logits are ``tail(inputs) @ weight.T`` over the classes seen so far, in the softmax
    of training as in prediction. Head and tail are trained by SGD on cross-entropy.

    BatchNorm in the tail takes its statistics from the first experience and keeps them from then on (its scale and
    shift go on learning): the small batches of later experiences, of few classes, would spoil them. Pellegrini et al.
    use Batch Renormalization instead.

    Args:
        weight: (K, d), the head; all classes that will come have a row. From :meth:`Split.rows`.
        past: int64 (K,), samples seen of each class, 0 for those to come.
        tail: the layers between inputs and head; it is copied. None: the inputs are features.
        steps: mini-batches per experience; the samples are shuffled whenever all have been used.
        batch: samples per mini-batch.
        learning_rate, momentum, weight_decay: SGD's.
        arithmetic: in which it computes, float or fake-quantised; belongs to this learner alone.
        seed: for the shuffling.

    Example:
        >>> head = NaiveFineTuning(torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))
        >>> head.learn(torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1]))
        >>> head.predict(torch.tensor([[2.0]]))
        tensor([0])
    """

    def __init__(
        self,
        weight: Tensor,
        past: Tensor,
        tail: nn.Module | None = None,
        *,
        steps: int = 250,
        batch: int = 50,
        learning_rate: float = 0.1,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        arithmetic: Arithmetic | None = None,
        seed: int = 0,
    ) -> None:
        self.past = past.clone()
        self.weight = weight.clone()
        self.tail = nn.Identity() if tail is None else copy.deepcopy(tail).requires_grad_().eval()
        self.arithmetic = Arithmetic() if arithmetic is None else arithmetic
        self.arithmetic.attach(self.tail)
        self.steps, self.batch = steps, batch
        self.learning_rate, self.momentum, self.weight_decay = learning_rate, momentum, weight_decay
        self.generator = torch.Generator().manual_seed(seed)
        self.experiences = 0

    def learn(self, inputs: Tensor, labels: Tensor) -> None:
        self._check_experience(inputs, labels)
        self._learn(inputs, labels, torch.bincount(labels, minlength=len(self.past)))

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        self._check_known()
        logits = [self.arithmetic.logits(self.tail(self._encoded(part)), self.weight) for part in inputs.split(CHUNK)]
        return torch.cat(logits).masked_fill(self.past == 0, -torch.inf).argmax(dim=1)

    def _learn(self, inputs: Tensor, labels: Tensor, current: Tensor) -> None:
        """One experience, ``current`` being the samples of each class that are trained on."""
        self.weight = self._trained(self.weight, inputs, labels, (self.past + current) > 0)
        self.past += torch.bincount(labels, minlength=len(self.past))
        self.experiences += 1

    def _trained(self, weight: Tensor, inputs: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        """The head after SGD from ``weight`` on; the tail changes in place."""
        weight = weight.clone().requires_grad_()
        parameters = [weight, *self.tail.parameters()]
        optimizer = torch.optim.SGD(
            parameters, self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )
        self.tail.train()
        if self.experiences:
            for module in self.tail.modules():
                if isinstance(module, _NORMS):
                    module.eval()
        for x, y in self._batches(inputs, labels):
            loss = self.arithmetic.loss(self.tail(self._encoded(x)), weight, y, known)
            optimizer.zero_grad()
            loss.backward()
            self.arithmetic.before_step(weight, self.tail)
            optimizer.step()
            self.arithmetic.after_step(weight, self.tail)
        self.tail.eval()
        return weight.detach()

    def _encoded(self, inputs: Tensor) -> Tensor:
        """The input of the tail for these inputs."""
        return inputs

    def _batches(self, inputs: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        drawn = self._drawn(len(labels), self.batch)
        for _ in range(self.steps):
            chosen = next(drawn)
            yield inputs[chosen], labels[chosen]

    def _drawn(self, count: int, batch: int) -> Iterator[Tensor]:
        """Indices below ``count``, ``batch`` at a time, in passes of a new order each.

        A last batch of one joins the batch before it, since BatchNorm cannot measure it.
        """
        while True:
            order = torch.randperm(count, generator=self.generator)
            alone = count % batch == 1 and count > 1 < batch
            *parts, last = order[: count - alone].split(batch)
            yield from parts
            yield torch.cat([last, order[count - alone :]])
