"""Writing files so that nothing is ever half-written."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onebit.errors import OnebitError


@contextmanager
def replacing(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success syncs it and renames it to ``path``, else removes it.

    Args:
        path: the file to make.
        force: replace a file that exists.

    Raises:
        OnebitError: ``path`` exists and ``force`` is not set, or its folder does not exist.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> with replacing(folder / "a.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> (folder / "a.txt").read_text()
        'whole'
    """
    target = Path(path)
    check_target(target, force=force)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.chmod(0o666 & ~_umask())
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def check_target(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Raises OnebitError now rather than after long work if ``path`` cannot be written."""
    target = Path(path)
    if not target.parent.is_dir():
        raise OnebitError(f"{target}: the folder {target.parent} does not exist", hint="make the folder first")
    if target.is_dir():
        raise OnebitError(f"{target} is a folder", hint="name a file")
    if target.exists() and not force:
        raise OnebitError(f"{target} exists already", hint="name another file, or pass --force to replace it")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
