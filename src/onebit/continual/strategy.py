"""The interface of a continual learning strategy."""

from abc import ABC, abstractmethod

from torch import Tensor


class Strategy(ABC):
    """Learns a stream, one experience after the other.

    Attributes:
        past: int64 (K,), samples seen of each class; a class with 0 is never predicted.
    """

    past: Tensor

    @abstractmethod
    def learn(self, inputs: Tensor, labels: Tensor) -> None:
        """One experience.

        Args:
            inputs: (n, ...), what its trainable part takes: features, latents at a cut, or images.
            labels: int64 (n,).
        """

    @abstractmethod
    def predict(self, inputs: Tensor) -> Tensor:
        """The most likely of the classes seen, int64 (n,)."""
