"""The result of teaching one experience, and the time and operations that it took."""

import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from onebit.errors import OnebitError
from onebit.runtime.learner.features import Images
from onebit.runtime.learner.gate import Accuracy


@dataclass(frozen=True)
class Taught:
    """The result of one :meth:`onebit.Learner.teach`.

    Attributes:
        experience: the id under which it is counted.
        counted: True if it was learned now. False if this id was counted before or the gate refused it; then nothing
            changed.
        refused: the gate was not passed.
        new: names of the classes that are new, or would be had the gate not refused them.
        samples: images of this experience.
        before, after: accuracy on the gate's images without and with the experience; None without a gate.
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


@dataclass
class Stopwatch:
    """The time that the parts of an update took."""

    milliseconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.milliseconds[part] = 1000 * (time.perf_counter() - begin)


def head_operations(weights: int, samples: int, steps: int, batch: int) -> int:
    """Multiply-accumulates of training a head: one forward and one in the gradient for each weight and sample seen.

    Example:
        >>> head_operations(weights=640, samples=30, steps=3, batch=20)  # 20, 10 and again 20 samples
        64000
    """
    passes, rest = divmod(steps, -(-samples // batch))
    return 2 * weights * (passes * samples + min(rest * batch, samples))


def replay_operations(each: int, samples: int, items: int, epochs: int, batch: int, replayed: int) -> int:
    """Multiply-accumulates of training with replay, if one sample takes ``each``.

    Example:
        >>> replay_operations(each=10, samples=60, items=300, epochs=1, batch=50, replayed=36)  # 60, and 5 times 36
        2400
    """
    replayed = min(replayed, items)
    return each * epochs * (samples + -(-samples // (batch - replayed)) * replayed)


def labels_of(images: Images, names: str | Sequence[str]) -> list[str]:
    """One name per image, whether one was given for all or one for each.

    Raises:
        OnebitError: there is no image, not one name per image, or a name is no text.
    """
    labels = [names] * len(images) if isinstance(names, str) else list(names)
    if len(labels) != len(images):
        raise OnebitError(f"there are {len(images)} images and {len(labels)} names", hint="give one name per image")
    if not labels:
        raise OnebitError("there is no image to learn from", hint="give at least one")
    check_text(*labels)
    return labels


def as_known(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Names in one Unicode form (NFC): those of other systems, such as macOS, look alike and differ in their bytes.

    Args:
        names: of classes.
        known: the names in use; one of them that looks the same is taken as it is.

    Example:
        >>> as_known(["cafe\\u0301", "dog"], ["caf\\u00e9"]) == ["caf\\u00e9", "dog"]
        True
    """
    forms = {unicodedata.normalize("NFC", name): name for name in known}
    return [forms.get(form, form) for form in (unicodedata.normalize("NFC", name) for name in names)]


def check_text(*texts: str) -> None:
    """Raises OnebitError at what C cannot read: its text ends at a NUL, and a lone surrogate has no UTF-8."""
    for text in texts:
        if not isinstance(text, str) or "\0" in text or text != text.encode(errors="ignore").decode():
            raise OnebitError(f"{text!r} cannot be a name or an id", hint="use text without NUL")
