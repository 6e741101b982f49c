"""Writing files so that nothing is ever half-written."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onebit.errors import OnebitError


@contextmanager
def atomic_file(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; on success syncs it and renames it to ``path``, else removes it.

    Args:
        path: the file to make.
        force: replace a file that exists.

    Raises:
        OnebitError: ``path`` exists and ``force`` is not set, or its folder does not exist or cannot be written to.
        OSError: what went wrong in writing; it names ``path``.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> with atomic_file(folder / "a.txt") as temporary:
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
    except OSError as problem:
        if problem.filename in (None, name):  # writing to an open file names none
            problem.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_dir(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder beside ``folder``; on success syncs it and renames it to ``folder``, else removes it.

    Raises:
        OnebitError: ``folder`` exists, or its parent does not exist or cannot be written to.
        OSError: what went wrong in writing.

    Example:
        >>> place = getfixture("tmp_path") / "store"
        >>> with atomic_dir(place) as temporary:
        ...     _ = (temporary / "a.txt").write_text("whole")
        >>> [file.name for file in place.iterdir()]
        ['a.txt']
    """
    target = Path(folder)
    if target.exists():
        raise OnebitError(f"{target} exists already", hint="name a new folder")
    _check_parent(target)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        _sync(temporary)
        try:
            temporary.rename(target)
        except OSError:
            if not target.exists():
                raise
            raise OnebitError(f"{target} was made by another process meanwhile", hint="name a new folder") from None
        _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_target(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Raises OnebitError now rather than after long work if ``path`` cannot be written."""
    target = Path(path)
    _check_parent(target)
    if target.is_dir():
        raise OnebitError(f"{target} is a folder", hint="name a file")
    if target.exists() and not force:
        raise OnebitError(
            f"{target} exists already", hint="name another file, or replace it with --force, in Python force=True"
        )


def _check_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise OnebitError(f"{target}: the folder {target.parent} does not exist", hint="make the folder first")
    if not os.access(target.parent, os.W_OK):
        raise OnebitError(f"{target}: the folder {target.parent} cannot be written to", hint="name another folder")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    """Windows syncs no folder, and a file only where it is open for writing."""
    windows = os.name == "nt"
    if windows and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
