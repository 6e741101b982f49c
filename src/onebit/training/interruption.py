"""Ctrl-C in training: noted at once, handled between two steps."""

import signal
import threading
from types import FrameType, TracebackType

from onebit.errors import OnebitError


class Stopped(OnebitError):
    """The run ends at this step on all its processes: the user stopped it, or a value is not finite."""


class Interruption:
    """Within this context, the first SIGINT or SIGTERM only sets ``requested``; the second ends the process as usual.

    Example:
        >>> with Interruption() as interruption:
        ...     signal.raise_signal(signal.SIGINT)
        ...     interruption.requested
        True
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.requested = True
