"""A lock that allows one training per folder, and ends with its process, however that ends."""

import os
import socket
import sys
from pathlib import Path
from typing import BinaryIO

from onebit.errors import OnebitError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Lock:
    """An exclusive lock on a file, held from `take` to `release` or to the end of the process, ``kill -9`` included.

    The file stays, and names the present or last owner: if it were removed, two processes could lock two files of the
    same name. The loaders' workers are threads, and child processes do not inherit the lock.

    Args:
        path: path of the file; its folder must exist when the lock is taken.

    Example:
        >>> path = getfixture("tmp_path") / "train.lock"
        >>> lock = Lock(path)
        >>> lock.take()
        >>> Lock(path).take()
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: ... a training runs here already, process ... on ... (wait for its end, ...)
        >>> lock.release()
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def take(self) -> None:
        """Takes the lock; does nothing if this object holds it already.

        Raises:
            OnebitError: another process holds it.
        """
        if self._file is not None:
            return
        file = self.path.open("a+b")
        try:
            _lock(file)
        except OSError:
            file.seek(_OWNER)
            owner = file.read(200).decode(errors="replace").strip()
            file.close()
            raise OnebitError(
                f"{self.path.parent}: a training runs here already, {owner or 'of another process'}",
                hint="wait for its end, or name another --output",
            ) from None
        file.truncate(0)
        file.write(f" process {os.getpid()} on {socket.gethostname()}\n".encode())
        file.flush()
        self._file = file

    def release(self) -> None:
        """Releases the lock, if this object holds it."""
        if self._file is not None:
            self._file.close()
            self._file = None


_OWNER = 1
"""Offset of the owner's name in the file: after the locked byte, which nobody can read on Windows."""

if sys.platform == "win32":

    def _lock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
