"""Heads that learn from a stream, in float: CWR* and naive fine-tuning. The references for the native learner.

A head is a matrix of rows over frozen features, trained by SGD on softmax cross-entropy. A bias is the weight of a last
feature that is always the same; the caller appends it (:func:`with_bias`).
"""

import torch
from torch import Tensor
from torch.nn import functional


def with_bias(features: Tensor) -> Tensor:
    """(N, d) -> (N, d + 1): the last column is 1.

    Example:
        >>> with_bias(torch.zeros(1, 2))
        tensor([[0., 0., 1.]])
    """
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


class NaiveFineTuning:
    """Goes on training the head on the new samples alone; what it forgets is what a continual method must keep.

    Args:
        weight: (K, d), the head after the first experience; all classes that will come have a row.
        past: int64 (K,), samples seen of each class, 0 for those to come.
        steps: mini-batches an experience; the samples are shuffled whenever all have been used.
        batch: samples a mini-batch.
        learning_rate: of SGD.
        seed: of the shuffling.

    Example:
        >>> head = NaiveFineTuning(torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))
        >>> head.teach(torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1]))
        >>> head.predict(torch.tensor([[2.0]]))
        tensor([0])
    """

    def __init__(
        self,
        weight: Tensor,
        past: Tensor,
        *,
        steps: int = 250,
        batch: int = 50,
        learning_rate: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.past = past.clone()
        self.weight = self._start(weight.clone())
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.generator = torch.Generator().manual_seed(seed)

    def teach(self, features: Tensor, labels: Tensor) -> None:
        """One experience: features (n, d), labels int64 (n,)."""
        current = torch.bincount(labels, minlength=len(self.past))
        known = (self.past + current) > 0
        self.weight = self._train(self.weight, features, labels, known)
        self.past += current

    def predict(self, features: Tensor) -> Tensor:
        """The most likely of the classes seen, int64 (n,)."""
        return (features @ self.weight.T).masked_fill(self.past == 0, -torch.inf).argmax(dim=1)

    def _start(self, weight: Tensor) -> Tensor:
        return weight

    def _train(self, weight: Tensor, features: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        weight = weight.clone().requires_grad_()
        left = torch.empty(0, dtype=torch.int64)
        for _ in range(self.steps):
            if len(left) == 0:
                left = torch.randperm(len(labels), generator=self.generator)
            chosen, left = left[: self.batch], left[self.batch :]
            logits = (features[chosen] @ weight.T).masked_fill(~known, -torch.inf)
            (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, labels[chosen]), weight)
            weight = (weight - self.learning_rate * gradient).detach().requires_grad_()
        return weight.detach()


class CWRStar(NaiveFineTuning):
    """CWR*: a live head for the experience and a consolidated one (``weight``) that keeps what was learned.

    With J the classes of the experience and cur_j their samples::

        tw <- 0, tw_j <- cw_j for each seen j in J;  SGD on tw over all classes
        mu = mean of all entries of the rows of tw in J;  w_j = tw_j - mu
        new class:  cw_j <- w_j
        seen class: cw_j <- (cw_j r + w_j) / (r + 1),  r = sqrt(past_j / cur_j);  past_j <- past_j + cur_j

    Arguments as for :class:`NaiveFineTuning`; the mean of the rows seen is taken from them at the start, as after any
    experience.

    Source: Lomonaco, Maltoni, Pellegrini, "Rehearsal-free continual learning over small non-i.i.d. batches", 2020,
    algorithm 1.

    Example:
        >>> head = CWRStar(torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([5, 5, 0]))
        >>> head.teach(torch.tensor([[-3.0], [-3.5]]), torch.tensor([2, 2]))
        >>> head.predict(torch.tensor([[2.0]]))
        tensor([0])
    """

    def teach(self, features: Tensor, labels: Tensor) -> None:
        """One experience: features (n, d), labels int64 (n,)."""
        current = torch.bincount(labels, minlength=len(self.past))
        here, seen = current > 0, self.past > 0
        live = torch.where((here & seen)[:, None], self.weight, torch.zeros_like(self.weight))
        live = self._train(live, features, labels, here | seen)
        ratio = (self.past[here] / current[here]).sqrt().to(live.dtype)[:, None]
        self.weight[here] = (self.weight[here] * ratio + live[here] - live[here].mean()) / (ratio + 1)
        self.past += current

    def _start(self, weight: Tensor) -> Tensor:
        seen = self.past > 0
        if seen.any():
            weight[seen] -= weight[seen].mean()
        return weight
