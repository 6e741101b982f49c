"""Getting data sets from their official addresses, whole or not at all."""

import errno
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pooch
import requests
import urllib3
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from onebit.data.dataset import Source, default_root
from onebit.data.registry import find
from onebit.errors import OnebitError

ATTEMPTS = 3
"""How often a transfer that breaks off is resumed before giving up."""
_TIMEOUT = (10, 60)  # seconds to connect, and between two blocks
_BLOCK = 1 << 18


def get(name: str, root: str | os.PathLike[str] | None = None, base_url: str | None = None) -> Path:
    """Downloads a data set and checks it against the published checksums.

    A transfer that breaks off leaves ``FILE.part``, and the next one continues there. A file gets its name, and an
    archive is unpacked to its place, only when whole and verified.

    Args:
        name: a data set that has an official address.
        root: the folder that holds data sets; default ``$ONEBIT_DATA``, else the user's cache.
        base_url: where to get the files instead, for example a copy in the local network.

    Returns:
        The folder with the files.

    Raises:
        OnebitError: no such data set, no connection, no such file there, wrong checksum, disk full.
    """
    source = find(name).source
    if source is None:
        hint = "it is ready to use" if name == "digits" else "put it in its place by hand: see docs/data.md"
        raise OnebitError(f"the data set {name} has no address to get it from", hint=hint)
    folder = (Path(root) if root is not None else default_root()) / name
    if source.unpacked and (folder / source.unpacked).is_dir():
        return folder / source.unpacked
    _make(folder)
    addresses = source.addresses if base_url is None else (base_url.rstrip("/") + "/",)
    for file, md5 in source.files.items():
        _fetch(addresses, file, md5, folder)
    if source.unpacked:
        _unpack(folder, source)
        return folder / source.unpacked
    return folder


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OnebitError(
            f"cannot make {folder}: {problem.strerror}", hint="set ONEBIT_DATA to a folder you may write to"
        ) from problem


def _fetch(addresses: tuple[str, ...], file: str, md5: str, folder: Path) -> None:
    """Gets one file from the first address that has it."""
    pooch.get_logger().setLevel("WARNING")
    for number, address in enumerate(addresses, 1):
        try:
            pooch.retrieve(
                address + file, f"md5:{md5}", fname=file, path=folder, downloader=_Resuming(folder / f"{file}.part")
            )
            return
        except _Unavailable:
            if number == len(addresses):
                raise
        except ValueError as problem:  # pooch: the checksum
            raise OnebitError(
                f"{address}{file} is not the published file: its checksum is wrong, so it was deleted",
                hint="try again later: the transfer or the server's file is damaged",
            ) from problem


class _Unavailable(OnebitError):
    """The file could not be had from this address."""


class _Resuming:
    """A downloader for pooch that goes on where an earlier one broke off (HTTP Range)."""

    def __init__(self, part: Path) -> None:
        self.part = part

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    self._transfer(url, progress)
                    break
                except (requests.RequestException, urllib3.exceptions.HTTPError) as problem:
                    if attempt == ATTEMPTS:
                        raise self._gave_up(url, problem) from problem
        os.replace(self.part, output_file)

    def _transfer(self, url: str, progress: Progress) -> None:
        start = self.part.stat().st_size if self.part.exists() else 0
        # Without "identity" a server may compress, and the bytes of the range would not be those of the file.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()  # longer than the file: not of it
                raise requests.ConnectionError("the file on the server is not the one begun earlier")
            if response.status_code >= 400:
                raise _Unavailable(
                    f"{url}: the server answers {response.status_code} {response.reason}",
                    hint="check the address, or give another with --url",
                )
            if response.status_code != requests.codes.partial_content:
                start = 0  # the server cannot continue: from the beginning
            rest = response.headers.get("Content-Length")
            length = None if rest is None else int(rest)
            self._check_space(length)
            task = progress.add_task(self.part.stem, total=None if length is None else start + length, completed=start)
            self._write(response, start, lambda count: progress.advance(task, count))
            progress.remove_task(task)

    def _write(self, response: requests.Response, start: int, advance: Any) -> None:
        try:
            with self.part.open("r+b" if start else "wb") as file:
                file.seek(start)
                for block in response.raw.stream(_BLOCK, decode_content=False):
                    file.write(block)
                    advance(len(block))
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            if problem.errno == errno.ENOSPC:
                self.part.unlink(missing_ok=True)
                raise _full(self.part.parent, None) from problem
            raise

    def _check_space(self, length: int | None) -> None:
        if length is not None and shutil.disk_usage(self.part.parent).free < length:
            raise _full(self.part.parent, length)

    def _gave_up(self, url: str, problem: Exception) -> _Unavailable:
        kept = self.part.stat().st_size if self.part.exists() else 0
        hint = f"run it again: it goes on after {kept:,} bytes" if kept else "check the connection and run it again"
        return _Unavailable(f"{url}: {_short(problem)}", hint=hint)


def _unpack(folder: Path, source: Source) -> None:
    """Unpacks the archive beside its place, then renames; the archive itself is removed."""
    (archive,) = (folder / file for file in source.files)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as beside:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(beside, filter="data")  # refuses paths and links that lead out of the folder
        except (tarfile.TarError, EOFError) as problem:
            raise OnebitError(f"{archive}: cannot be unpacked: {problem}", hint="delete it and try again") from problem
        except OSError as problem:
            if problem.errno == errno.ENOSPC:
                raise _full(folder, None) from problem
            raise
        if not (Path(beside) / source.unpacked).is_dir():
            raise OnebitError(f"{archive}: there is no {source.unpacked} in it", hint="delete it and try again")
        os.replace(Path(beside) / source.unpacked, folder / source.unpacked)
    archive.unlink()


def _full(folder: Path, needed: int | None) -> OnebitError:
    free = shutil.disk_usage(folder).free
    wanted = f"{needed:,} bytes are needed and " if needed is not None else ""
    return OnebitError(
        f"the disk of {folder} is full: {wanted}{free:,} are free",
        hint="free some space, or set ONEBIT_DATA to a folder on another disk",
    )


def _short(problem: Exception) -> str:
    if isinstance(problem, requests.Timeout):
        return "no answer in time"
    if isinstance(problem, urllib3.exceptions.HTTPError):
        return "the connection broke off"
    return "no connection" if isinstance(problem, requests.ConnectionError) else str(problem)
