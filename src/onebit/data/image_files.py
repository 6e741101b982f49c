"""Image files in a fixed order, and what is done about a damaged one."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from onebit.errors import OnebitError
from onebit.runtime.image import to_pil

if TYPE_CHECKING:
    from PIL.Image import Image

OnCorrupt = Literal["error", "skip"]
MAX_BYTES = 1 << 28
"""The size limit of an image file. ImageNet's largest has 15 MB."""


class Faults:
    """What to do about an image or a shard that cannot be read, and a record of those met.

    Args:
        on_corrupt: ``error`` raises at the first; ``skip`` leaves it out and counts it.

    Attributes:
        skipped: why, by name. An image that is met again counts once.

    Example:
        >>> faults = Faults("skip")
        >>> faults.meet("a.jpg", OnebitError("cut off"))
        >>> faults.skipped
        {'a.jpg': 'cut off'}
    """

    def __init__(self, on_corrupt: OnCorrupt) -> None:
        if on_corrupt not in ("error", "skip"):
            raise OnebitError(f"on_corrupt is {on_corrupt!r}", hint="choose error or skip")
        self.on_corrupt = on_corrupt
        self.skipped: dict[str, str] = {}

    def meet(self, name: str, problem: Exception) -> None:
        """Takes note of one that cannot be read, or raises OnebitError with its name."""
        reason = problem.message if isinstance(problem, OnebitError) else getattr(problem, "strerror", None)
        reason = (reason or str(problem)).removeprefix("the image: ")
        if self.on_corrupt == "error":
            raise OnebitError(
                f"{name}: {reason}", hint="replace it, or leave out such files with data.options.on_corrupt skip"
            ) from problem
        self.skipped[name] = reason


class ImageFiles(ABC):
    """Image files in a fixed order, read one at a time from any thread.

    Attributes:
        labels: int64 (N,).
    """

    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def name(self, number: int) -> str:
        """The place of an image, for people."""

    @abstractmethod
    def read(self, number: int) -> bytes:
        """The bytes of the image file; raises OSError, or OnebitError if it is not to be read."""

    def decode(self, number: int, faults: Faults) -> "Image | None":
        """The image in RGB; None if it cannot be read and ``faults`` lets it be left out."""
        try:
            return to_pil(self.read(number))
        except (OnebitError, OSError) as problem:
            faults.meet(self.name(number), problem)
            return None
