"""Sessions of one model, kept for the next call."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from onebit import _engine

_BULK_BYTES = 256 << 20  # the arena of a large batch stays under this
_BULK_BATCH = 64
_MAX_IDLE = 8


class Sessions:
    """Lends sessions to threads, each to one thread at a time; drops the least recently used ones.

    Args:
        native: the engine's model.
        threads: threads per session.
        isa: instruction set, or "" for the engine's choice.
    """

    def __init__(self, native: _engine.Model, threads: int, isa: str) -> None:
        self._native = native
        self._threads = threads
        self._isa = isa
        self._lock = threading.Lock()
        self._idle: list[tuple[tuple[str, int], _engine.Session]] = []  # least recently used first
        self._largest: dict[str, int] = {}

    @contextmanager
    def lend(self, output: str, count: int) -> Iterator[_engine.Session]:
        """A session that computes ``output`` for ``session.batch`` samples: ``count``, or what memory allows."""
        batch = min(_power_of_two(count), self._largest_batch(output))
        session = self._idle_one(output, batch) or self.open([output], batch)
        try:
            yield session
        finally:
            self._keep(output, session)

    def open(self, outputs: list[str], batch: int) -> _engine.Session:
        """A session of one's own."""
        return _engine.Session(self._native, batch, self._threads, self._isa, outputs)

    def _largest_batch(self, output: str) -> int:
        if output not in self._largest:
            one = self.open([output], 1)
            fitting = max(1, min(_BULK_BATCH, _BULK_BYTES // max(one.arena_bytes, 1)))
            self._largest[output] = 1 << (fitting.bit_length() - 1)
            self._keep(output, one)  # so that a load plans once
        return self._largest[output]

    def _idle_one(self, output: str, batch: int) -> _engine.Session | None:
        with self._lock:
            found = next((i for i in reversed(range(len(self._idle))) if self._idle[i][0] == (output, batch)), None)
            return None if found is None else self._idle.pop(found)[1]

    def _keep(self, output: str, session: _engine.Session) -> None:
        with self._lock:
            self._idle.append(((output, session.batch), session))
            del self._idle[:-_MAX_IDLE]


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()
