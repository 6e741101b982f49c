"""In which numbers a learner computes: here in float; a quantised arithmetic overrides what it does otherwise."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Arithmetic:
    """Float32. One object belongs to one learner.

    Example:
        >>> Arithmetic().logits(torch.ones(1, 2), torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
        tensor([[3., 1.]])
    """

    def attach(self, tail: nn.Module) -> None:
        """Puts what the tail needs into it, in place, before it is used."""

    def logits(self, features: Tensor, weight: Tensor) -> Tensor:
        """(N, d), (K, d) -> (N, K)."""
        return features @ weight.T

    def loss(self, features: Tensor, weight: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        """Mean cross-entropy over the classes that ``known``, bool (K,), names."""
        logits = self.logits(features, weight).masked_fill(~known, -torch.inf)
        return functional.cross_entropy(logits, labels)

    def before_step(self, weight: Tensor, tail: nn.Module) -> None:
        """The gradients are there; the update follows."""

    def after_step(self, weight: Tensor, tail: nn.Module) -> None:
        """The update was made."""
