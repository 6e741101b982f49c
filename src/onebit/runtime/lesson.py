"""One lesson of a learner: the gate it must pass, and what came of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from onebit.errors import OnebitError
from onebit.runtime.features import Images


@dataclass(frozen=True)
class Gate:
    """Held-out images that a learner must answer well enough, or the lesson is dropped.

    Attributes:
        images: as in :meth:`onebit.Learner.teach`; not those of the lesson.
        names: the class of each.
        least: share of right answers over all of them, 0 to 1, that lets the lesson through; None: not less than before
            the lesson. With 0 every lesson passes and is only measured.

    Raises:
        OnebitError: no image, not one name an image, or ``least`` is no share.

    Example:
        >>> Gate(["a.png", "b.png"], ["cat"])
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: the gate has 2 images and 1 names (give one name an image, and at least one image)
    """

    images: Images
    names: Sequence[str]
    least: float | None = None

    def __post_init__(self) -> None:
        if len(self.images) != len(self.names) or not len(self.names):
            raise OnebitError(
                f"the gate has {len(self.images)} images and {len(self.names)} names",
                hint="give one name an image, and at least one image",
            )
        if self.least is not None and not 0 <= self.least <= 1:
            raise OnebitError(f"the gate's least accuracy is {self.least}", hint="give a share from 0 to 1")

    def passes(self, before: "Accuracy", after: "Accuracy") -> bool:
        """Whether a lesson that changed the answers so may be kept."""
        return after.all >= (before.all if self.least is None else self.least)


@dataclass(frozen=True)
class Accuracy:
    """Shares of right answers on held-out images, all known classes competing.

    Attributes:
        all: over all images.
        old: over those of classes that were known before the lesson; None if there are none.
        new: over the others; None if there are none. Before the lesson it is 0.
    """

    all: float
    old: float | None
    new: float | None

    @classmethod
    def of(cls, answers: Sequence[str], truth: Sequence[str], known: Collection[str]) -> "Accuracy":
        """Of answers to images whose classes are ``truth``; ``known``: the classes before the lesson.

        Example:
            >>> Accuracy.of(["cat", "cat", "fox"], ["cat", "dog", "fox"], {"cat", "dog"})
            Accuracy(all=0.6666666666666666, old=0.5, new=1.0)
        """
        right = np.array([answer == name for answer, name in zip(answers, truth, strict=True)])
        old = np.array([name in known for name in truth])
        shares = [float(right[part].mean()) if part.any() else None for part in (old, ~old)]
        return cls(float(right.mean()), *shares)


@dataclass(frozen=True)
class Taught:
    """What came of one :meth:`onebit.Learner.teach`.

    Attributes:
        experience: the id under which it is counted.
        counted: True if it was learned now. False if this id was counted before or the gate refused it; then nothing
            changed.
        refused: the gate was not passed.
        new: names of the classes that are new, or would be had the gate not refused them.
        samples: images of this experience.
        before, after: accuracy on the gate's images without and with the lesson; None without a gate.
        milliseconds: ``features`` (reading the images, the gate's too, and running the backbone on them), ``update``
            (training the head) and ``commit`` (until it is on the medium).
        operations: estimated multiply-accumulates: ``features`` and ``update``.
    """

    experience: str
    counted: bool
    refused: bool
    new: tuple[str, ...]
    samples: int
    before: Accuracy | None
    after: Accuracy | None
    milliseconds: dict[str, float]
    operations: dict[str, int]


def head_operations(classes: int, features: int, samples: int, steps: int, batch: int) -> int:
    """Multiply-accumulates of training a head: one forward and one in the gradient for each weight and sample seen.

    Example:
        >>> head_operations(classes=10, features=64, samples=30, steps=3, batch=20)  # 20, 10 and again 20 samples
        64000
    """
    passes, rest = divmod(steps, -(-samples // batch))
    return 2 * classes * features * (passes * samples + min(rest * batch, samples))


def replay_operations(each: int, samples: int, items: int, epochs: int, batch: int) -> int:
    """Multiply-accumulates of a lesson with replay, if training with one sample takes ``each``.

    Example:
        >>> replay_operations(each=10, samples=50, items=300, epochs=1, batch=64)  # 6 times 9 new ones and 55 others
        3800
    """
    fresh = min(batch, samples)
    if items:
        fresh = max(1, min(round(batch * samples / (samples + items)), samples, batch - 1))
    steps = -(-samples // fresh)
    return each * epochs * (samples + (steps * (batch - fresh) if items else 0))


def labels_of(images: Images, names: str | Sequence[str]) -> list[str]:
    """A name an image, whether one was given for all or one for each.

    Raises:
        OnebitError: there is no image, not one name an image, or a name is no text.
    """
    labels = [names] * len(images) if isinstance(names, str) else list(names)
    if len(labels) != len(images):
        raise OnebitError(f"there are {len(images)} images and {len(labels)} names", hint="give one name an image")
    if not labels:
        raise OnebitError("there is no image to learn from", hint="give at least one")
    check_text(*labels)
    return labels


def check_text(*texts: str) -> None:
    """Raises OnebitError at what C cannot read: its text ends at a NUL, and a lone surrogate has no UTF-8."""
    for text in texts:
        if not isinstance(text, str) or "\0" in text or text != text.encode(errors="ignore").decode():
            raise OnebitError(f"{text!r} cannot be a name or an id", hint="use text without NUL")
