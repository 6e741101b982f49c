"""The gate that an experience must pass: held-out images, and how many of them are classified right."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from onebit.errors import OnebitError
from onebit.runtime.learner.features import Images


@dataclass(frozen=True)
class Gate:
    """Held-out images that a learner must classify well enough, or the experience is dropped.

    Attributes:
        images: as in :meth:`onebit.Learner.teach`; not those of the experience.
        names: the class of each image.
        minimum: accuracy on all of them, 0 to 1, that lets the experience through; None: not less than before it. With
            0 every experience passes and is only measured.

    Raises:
        OnebitError: no image, not one name per image, or ``minimum`` is no share.

    Example:
        >>> Gate(["a.png", "b.png"], ["cat"])
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: the gate has 2 images and 1 names (give one name per image, and at least one image)
    """

    images: Images
    names: Sequence[str]
    minimum: float | None = None

    def __post_init__(self) -> None:
        if len(self.images) != len(self.names) or not len(self.names):
            raise OnebitError(
                f"the gate has {len(self.images)} images and {len(self.names)} names",
                hint="give one name per image, and at least one image",
            )
        if self.minimum is not None and not 0 <= self.minimum <= 1:
            raise OnebitError(f"the gate's minimum accuracy is {self.minimum}", hint="give a share from 0 to 1")

    def passes(self, before: "Accuracy", after: "Accuracy") -> bool:
        """Whether an experience may be kept that changed the accuracy from ``before`` to ``after``."""
        return after.all >= (before.all if self.minimum is None else self.minimum)


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on held-out images, all known classes competing.

    Attributes:
        all: over all images.
        old: over those of classes that were known before the experience; None if there are none.
        new: over the others; None if there are none. Before the experience it is 0.
    """

    all: float
    old: float | None
    new: float | None

    @classmethod
    def of(cls, predicted: Sequence[str], truth: Sequence[str], known: Collection[str]) -> "Accuracy":
        """The accuracy of classes ``predicted`` for images of the classes ``truth``; ``known``: the classes before.

        Example:
            >>> Accuracy.of(["cat", "cat", "fox"], ["cat", "dog", "fox"], {"cat", "dog"})
            Accuracy(all=0.6666666666666666, old=0.5, new=1.0)
        """
        right = np.array([found == name for found, name in zip(predicted, truth, strict=True)])
        old = np.array([name in known for name in truth])
        shares = [float(right[part].mean()) if part.any() else None for part in (old, ~old)]
        return cls(float(right.mean()), *shares)
