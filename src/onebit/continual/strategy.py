"""The interface of a continual learning strategy."""

from abc import ABC, abstractmethod

from torch import Tensor

from onebit.errors import OnebitError


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

        Raises:
            OnebitError: no sample, not one label per sample, a label outside 0 to K − 1, or a number that is not
                finite.
        """

    @abstractmethod
    def predict(self, inputs: Tensor) -> Tensor:
        """The most likely of the classes seen, int64 (n,).

        Raises:
            OnebitError: no class was seen yet.
        """

    def _check_experience(self, inputs: Tensor, labels: Tensor) -> None:
        """What the device's learner refuses, too."""
        if labels.dim() != 1 or len(inputs) != len(labels) or not len(labels):
            raise OnebitError(
                f"an experience of {len(inputs)} samples and labels of {tuple(labels.shape)}",
                hint="give one label per sample, and at least one sample",
            )
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(self.past):
            raise OnebitError(
                f"labels from {int(labels.min())} to {int(labels.max())} for {len(self.past)} classes",
                hint="make room for all classes that will come",
            )
        if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
            raise OnebitError("the samples have numbers that are not finite", hint="leave those samples out")

    def _check_known(self) -> None:
        if not bool((self.past > 0).any()):
            raise OnebitError("no class was learned yet", hint="learn an experience first")
