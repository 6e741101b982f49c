"""A folder that is being written to, and which of its images are whole."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from onebit.errors import OnebitError
from onebit.runtime.image import image_paths
from onebit.runtime.inbox.images import LabelledImages, class_folders

_PATIENCE = 10  # a batch waits for files that are still growing this many times the rest


@dataclass
class _Seen:
    size: int
    modified: int  # nanoseconds
    since: float  # on our clock; so has it been since then
    whole: bool = False


class Watch:
    """Hands out the images that arrive in a folder, each once, when they are whole.

    An image is whole when its size and date rest: two looks find the same, and nothing wrote to it for ``rest``
    seconds (one that was renamed into place brings its date along, so it need not wait). Names that start with a dot or
    do not end as images do are passed over: write to such a name and rename, and nothing can be taken too early. A
    batch is handed out when all that is there is whole, or when its first image has waited ten times ``rest``.

    Args:
        folder: has a subfolder per class; with ``name`` the images lie in it itself.
        name: the class of all images.
        rest: seconds.
        clock: seconds, for the rests; the date of files is compared with the system's clock.

    Raises:
        OnebitError: there is no such folder.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> watch = Watch(folder, "cat", rest=0)
        >>> _ = (folder / "a.png").write_bytes(b"...")
        >>> len(watch.look()), len(watch.look()), len(watch.look())
        (0, 1, 0)
    """

    def __init__(
        self, folder: Path, name: str | None, rest: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not folder.is_dir():
            raise OnebitError(f"there is no folder {folder} to watch", hint="make it first")
        self.folder, self.name, self.rest, self.clock = folder, name, rest, clock
        self._waiting: dict[Path, _Seen] = {}
        self._handed: dict[Path, tuple[int, int]] = {}

    def look(self) -> LabelledImages:
        """The next batch; empty if there is none yet."""
        now = self.clock()
        there = dict(self._files())
        self._waiting = {path: seen for path, seen in self._waiting.items() if path in there}
        self._handed = {path: state for path, state in self._handed.items() if path in there}
        for path in there:
            try:
                status = path.stat()
            except OSError:  # it went
                self._waiting.pop(path, None)
                continue
            state = status.st_size, status.st_mtime_ns
            if self._handed.get(path) == state:
                continue
            seen = self._waiting.get(path)
            if seen is None or (seen.size, seen.modified) != state:
                self._waiting[path] = _Seen(*state, now)
            else:
                resting = max(now - seen.since, time.time() - seen.modified / 1e9)
                seen.whole = resting >= self.rest
        whole = sorted(path for path, seen in self._waiting.items() if seen.whole)
        growing = len(whole) < len(self._waiting)
        if not whole or (growing and now - min(self._waiting[p].since for p in whole) < _PATIENCE * self.rest):
            return LabelledImages((), ())
        for path in whole:
            seen = self._waiting.pop(path)
            self._handed[path] = seen.size, seen.modified
        return LabelledImages(tuple(whole), tuple(there[path] for path in whole))

    @property
    def busy(self) -> bool:
        """Something is there that was not handed out."""
        return bool(self._waiting)

    def _files(self) -> Iterable[tuple[Path, str]]:
        places = [(kind, kind.name) for kind in class_folders(self.folder)] if self.name is None else []
        if self.name is not None:
            places = [(self.folder, self.name)]
        for place, name in places:
            for path in image_paths(place):
                if path.is_file():
                    yield path, name
