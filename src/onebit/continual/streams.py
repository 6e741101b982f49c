"""Streams of experiences: what a learner is shown, in which order; and their file, so that a stream can be repeated."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from onebit.errors import OnebitError
from onebit.files import atomic_file

FORMAT = "onebit stream 1"
MAX_BYTES = 1 << 28
"""The size limit of a stream's file. One over CORe50 with file names has 4 MB."""


@dataclass(frozen=True)
class Experience:
    """The samples that are taught at once.

    Attributes:
        id: unique in its stream; a learner that knows it does not count the experience again.
        classes: the classes in it, as in the labels, ascending.
        indices: int64 (n,), its samples in the training part of the data set.
    """

    id: str
    classes: tuple[int, ...]
    indices: Tensor


@dataclass(frozen=True)
class Stream(Sequence[Experience]):
    """Experiences in order, and which data set they are of.

    Attributes:
        data: name of the data set, for people and to find it again.
        samples: N, of its training part.
        checksum: :func:`labels_checksum` of its training labels.
        experiences: in the order in which they are taught; no sample is in two of them.

    Raises:
        OnebitError: no experience, an id twice, an experience without samples, a sample twice or out of range.

    Example:
        >>> labels = torch.tensor([0, 1, 1, 0])
        >>> stream = Stream.of(labels, [torch.tensor([0, 3]), torch.tensor([1, 2])], data="toy", prefix="nc")
        >>> [(e.id, e.classes, e.indices.tolist()) for e in stream]
        [('nc-0', (0,), [0, 3]), ('nc-1', (1,), [1, 2])]
        >>> path = getfixture("tmp_path") / "toy.json"
        >>> stream.write(path)
        >>> [e.id for e in Stream.read(path, labels)]
        ['nc-0', 'nc-1']
    """

    data: str
    samples: int
    checksum: str
    experiences: tuple[Experience, ...]

    def __post_init__(self) -> None:
        if not self.experiences:
            raise OnebitError("the stream has no experience", hint="give it one or more")
        used = torch.zeros(self.samples, dtype=torch.bool)
        ids: set[str] = set()
        for experience in self.experiences:
            where, indices = f"experience {experience.id!r}", experience.indices
            if experience.id in ids:
                raise OnebitError(f"{where} is in the stream twice", hint="give each experience an id of its own")
            ids.add(experience.id)
            if len(indices) == 0:
                raise OnebitError(f"{where} has no samples", hint="leave it out")
            if int(indices.min()) < 0 or int(indices.max()) >= self.samples:
                raise OnebitError(f"{where}: a sample is not in [0, {self.samples})", hint="it is of another data set")
            if used[indices].any() or len(indices.unique()) != len(indices):
                raise OnebitError(f"{where}: a sample is in the stream twice", hint="teach each sample once")
            used[indices] = True

    @classmethod
    def of(cls, labels: Tensor, parts: Sequence[Tensor], data: str, prefix: str) -> "Stream":
        """The stream of these parts of the samples, with the ids ``prefix-0``, ``prefix-1``, ...

        Args:
            labels: int64 (N,), of the training part.
            parts: int64 (n,) each, the samples of each experience.
        """
        experiences = [
            Experience(f"{prefix}-{number}", tuple(labels[part].unique().tolist()), part)
            for number, part in enumerate(parts)
        ]
        return cls(data, len(labels), labels_checksum(labels), tuple(experiences))

    def __getitem__(self, number: int) -> Experience:  # type: ignore[override]
        return self.experiences[number]

    def __len__(self) -> int:
        return len(self.experiences)

    def __iter__(self) -> Iterator[Experience]:
        return iter(self.experiences)

    def write(self, path: str | os.PathLike[str], files: Sequence[str] | None = None, *, force: bool = False) -> None:
        """Writes the stream as JSON, whole or not at all.

        Args:
            path: the file.
            files: name of each of the N samples, where they lie in files; the stream then lists names, not numbers.
            force: replace a file that exists.

        Raises:
            OnebitError: ``path`` exists or cannot be written, or there are not N names.
        """
        if files is not None and len(files) != self.samples:
            raise OnebitError(f"{len(files)} file names for {self.samples} samples", hint="give one per sample")
        content = {
            "format": FORMAT,
            "data": self.data,
            "samples": self.samples,
            "labels_sha256": self.checksum,
            "experiences": [
                {
                    "id": experience.id,
                    "classes": list(experience.classes),
                    **_listed(experience.indices.tolist(), files),
                }
                for experience in self.experiences
            ],
        }
        with atomic_file(path, force=force) as temporary:
            temporary.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | os.PathLike[str], labels: Tensor, files: Sequence[str] | None = None) -> "Stream":
        """Reads a stream and compares it with the data set at hand.

        Args:
            path: a file that :meth:`write` made.
            labels: int64 (N,), the training labels of the data set at hand.
            files: name of each of the N samples, where the stream lists names.

        Raises:
            OnebitError: the file is no stream, is damaged, or is of another data set; says where.
        """
        return _Reader(Path(path), labels, files).read()


def labels_checksum(labels: Tensor) -> str:
    """SHA-256 over the labels in their order, each as a little-endian int64; hexadecimal.

    Example:
        >>> labels_checksum(torch.tensor([0, 1]))[:16]
        '9d34149fbd1fe777'
    """
    return hashlib.sha256(labels.numpy().astype("<i8").tobytes()).hexdigest()


def _listed(indices: list[int], files: Sequence[str] | None) -> dict[str, Any]:
    return {"indices": indices} if files is None else {"files": [files[i] for i in indices]}


class _Reader:
    """Takes a stream's file for hostile until each field is what it has to be."""

    def __init__(self, path: Path, labels: Tensor, files: Sequence[str] | None) -> None:
        self.path, self.labels = path, labels
        self.numbers = None if files is None else {name: number for number, name in enumerate(files)}

    def read(self) -> Stream:
        content = self._object(self._content(), "the file")
        if content.get("format") != FORMAT:
            self._refuse(f"its format is not '{FORMAT}'")
        data, entries = content.get("data"), content.get("experiences")
        if not isinstance(data, str) or not isinstance(entries, list):
            self._refuse("'data' is not a string, or 'experiences' not a list")
        if content.get("samples") != len(self.labels):
            self._refuse(f"it is of {content.get('samples')!r} samples, the data set at hand has {len(self.labels)}")
        if content.get("labels_sha256") != labels_checksum(self.labels):
            self._refuse(f"the labels it was made from ('{data[:100]}') are not those of the data set at hand")
        try:
            experiences = tuple(self._experience(entry, number) for number, entry in enumerate(entries))
            return Stream(data, len(self.labels), labels_checksum(self.labels), experiences)
        except OnebitError as problem:
            if problem.message.startswith(str(self.path)):
                raise
            raise OnebitError(f"{self.path}: {problem.message}", hint=problem.hint) from problem

    def _content(self) -> Any:
        try:
            if self.path.stat().st_size > MAX_BYTES:
                self._refuse(f"it is larger than {MAX_BYTES} bytes")
            return json.loads(self.path.read_bytes().decode("utf-8"))
        except OSError as problem:
            raise OnebitError(f"{self.path}: {problem.strerror}", hint="name the file of a stream") from problem
        except (ValueError, RecursionError) as problem:
            self._refuse(f"it is not JSON: {str(problem)[:100]}")

    def _experience(self, entry: Any, number: int) -> Experience:
        where = f"experience {number}"
        fields = self._object(entry, where)
        name, classes = fields.get("id"), fields.get("classes")
        if not isinstance(name, str) or not name or len(name) > 200 or not name.isprintable():
            self._refuse(f"{where}: 'id' is not a name of 1 to 200 characters")
        indices = self._indices(fields, where)
        present = self.labels[indices].unique().tolist()
        if classes != present or any(type(c) is not int for c in classes):
            self._refuse(f"{where}: 'classes' are not those of its samples, {present[:20]}")
        return Experience(name, tuple(present), indices)

    def _indices(self, fields: dict[str, Any], where: str) -> Tensor:
        values = self._named(fields["files"], where) if "files" in fields else fields.get("indices")
        if not isinstance(values, list) or not all(type(value) is int for value in values):
            self._refuse(f"{where}: 'indices' is not a list of integers")
        if any(not 0 <= value < len(self.labels) for value in values):
            self._refuse(f"{where}: a sample is not in [0, {len(self.labels)})")
        return torch.from_numpy(np.array(values, dtype=np.int64))

    def _named(self, names: Any, where: str) -> list[int]:
        if self.numbers is None:
            self._refuse(f"{where} lists files, and the names of the data set's files are not given")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._refuse(f"{where}: 'files' is not a list of names")
        absent = next((name for name in names if name not in self.numbers), None)
        if absent is not None:
            self._refuse(f"{where}: the data set has no file {absent[:200]!r}")
        return [self.numbers[name] for name in names]

    def _object(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._refuse(f"{where} is not a JSON object")
        return value

    def _refuse(self, reason: str) -> NoReturn:
        raise OnebitError(f"{self.path}: {reason}", hint="make the stream again, or take the data set it was made for")
