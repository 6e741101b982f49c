"""Which images were taught from watched folders."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path


class Journal:
    """The taught images, by the hash of their bytes and class; it survives a power cut.

    It is a text file of lines: ``begin EXPERIENCE HASH...`` before an experience is taught, ``end EXPERIENCE`` after
    it. One that was begun and not ended came through if the learner counts it.

    Args:
        path: the file, made when it is first needed.
        counted: whether the learner counts an experience.

    Example:
        >>> journal = Journal(getfixture("tmp_path") / "taught", lambda experience: False)
        >>> journal.begin("monday", ["ab12"]); journal.end("monday")
        >>> "ab12" in journal
        True
    """

    def __init__(self, path: Path, counted: Callable[[str], bool]) -> None:
        self.path = path
        self._hashes: set[str] = set()
        self._open: dict[str, list[str]] = {}
        text = path.read_text("ascii") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # a cut may leave half a line
        if whole != text:
            os.truncate(path, len(whole))
        for line in whole.splitlines():
            word, experience, *hashes = line.split(" ")
            if word == "begin":
                self._open[experience] = hashes
            else:
                self._close(experience)
        for experience in [experience for experience in self._open if counted(experience)]:
            self.end(experience)

    def __contains__(self, digest: str) -> bool:
        return digest in self._hashes

    def begin(self, experience: str, hashes: list[str]) -> None:
        """Before the experience; on the medium when it returns."""
        self._append(" ".join(["begin", experience, *hashes]))
        self._open[experience] = hashes

    def end(self, experience: str) -> None:
        """After the experience, whether it was learned or refused: its images are not taught again."""
        self._append(f"end {experience}")
        self._close(experience)

    def _close(self, experience: str) -> None:
        self._hashes.update(self._open.pop(experience, ()))

    def _append(self, line: str) -> None:
        with open(self.path, "a", encoding="ascii", newline="\n") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


def hash_of(content: bytes, name: str) -> str:
    """SHA-256 of an image's class and bytes."""
    return hashlib.sha256(name.encode() + b"\0" + content).hexdigest()
