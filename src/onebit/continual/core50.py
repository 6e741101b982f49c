"""The streams that are published with CORe50, as lists of files.

A run is a folder such as ``batches_filelists/NIC_inc/run0`` or ``NIC_v2_391/run0``. It holds
``train_batch_00_filelist.txt``, ``train_batch_01_filelist.txt``, ... and ``test_filelist.txt``, each line a file and a
label: ``s1/o1/C_01_01_000.png 0``. The labels of a run may be numbered in the order in which its objects come,
so those of the data set are kept, and the list's must only stand for them one to one. (The folders that end in ``_cat``
have one label a category: take the data set with ``level="category"``.) Only tested on made-up files in this layout.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from onebit.continual.streams import MAX_BYTES, Stream
from onebit.errors import OnebitError

EXPERIENCES = {"NI_inc": 8, "NC_inc": 9, "NIC_inc": 79, "NIC_v2_79": 79, "NIC_v2_196": 196, "NIC_v2_391": 391}
"""Lists of a run, by the name of the folder that holds the runs."""

_DAMAGED = "unpack the lists again, or take the CORe50 that they are of"


def read_file_lists(run: str | os.PathLike[str], files: Sequence[str], labels: Tensor) -> Stream:
    """The stream of a run.

    Args:
        run: the folder with the lists.
        files: those of the training part: ``data.create("core50").train_files``.
        labels: int64 (N,), of the same.

    Raises:
        OnebitError: a list is missing or damaged, names a file that is not there, or labels that contradict the data
            set; says which list and line.

    Example:
        >>> run = getfixture("tmp_path")
        >>> _ = (run / "train_batch_00_filelist.txt").write_text("s1/o2/C_01_02_000.png 0\\n")
        >>> _ = (run / "train_batch_01_filelist.txt").write_text("s1/o1/C_01_01_000.png 1\\n")
        >>> files = ["s1/o1/C_01_01_000.png", "s1/o2/C_01_02_000.png"]
        >>> [(e.classes, e.indices.tolist()) for e in read_file_lists(run, files, torch.tensor([0, 1]))]
        [((1,), [1]), ((0,), [0])]
    """
    folder = Path(run)
    found = len(list(folder.glob("train_batch_*_filelist.txt")))
    name = re.sub("_cat$", "", folder.absolute().parent.name)
    if found == 0 or found != EXPERIENCES.get(name, found):
        raise OnebitError(
            f"{folder} holds {found} files train_batch_NN_filelist.txt, not {EXPERIENCES.get(name, 'some')}",
            hint="name the folder of a run, such as batches_filelists/NIC_inc/run0",
        )
    lists = _Lists(files, labels)
    parts = [lists.read(folder / f"train_batch_{number:02}_filelist.txt") for number in range(found)]
    return Stream.of(labels, parts, "core50", "-".join(folder.absolute().parts[-2:]))


def read_test_list(run: str | os.PathLike[str], files: Sequence[str], labels: Tensor) -> Tensor:
    """The samples of a run's ``test_filelist.txt``; int64 (n,).

    Args:
        run: the folder with the lists.
        files, labels: those of the test part.

    Raises:
        OnebitError: as :func:`read_file_lists`.
    """
    return _Lists(files, labels).read(Path(run) / "test_filelist.txt")


class _Lists:
    def __init__(self, files: Sequence[str], labels: Tensor) -> None:
        self.numbers = {name: number for number, name in enumerate(files)}
        self.labels = labels.tolist()
        self.meaning: dict[int, int] = {}  # from a label of the lists to the data set's

    def read(self, path: Path) -> Tensor:
        try:
            if path.stat().st_size > MAX_BYTES:
                raise OnebitError(f"{path} is larger than {MAX_BYTES} bytes", hint=_DAMAGED)
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as problem:
            raise OnebitError(f"{path}: {problem.strerror}", hint=_DAMAGED) from problem
        except UnicodeDecodeError as problem:
            raise OnebitError(f"{path} is not a text file", hint=_DAMAGED) from problem
        return torch.tensor([self._sample(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)])

    def _sample(self, line: str, where: str) -> int:
        found = re.fullmatch(r"(\S+) ([0-9]{1,4})\s*", line)
        if not found:
            raise OnebitError(f"{where}: not a file and a label", hint=_DAMAGED)
        if found[1] not in self.numbers:
            raise OnebitError(f"{where}: the data set has no file {found[1][:200]}", hint=_DAMAGED)
        number = self.numbers[found[1]]
        label, listed = self.labels[number], int(found[2])
        if self.meaning.setdefault(listed, label) != label or sum(c == label for c in self.meaning.values()) > 1:
            raise OnebitError(
                f"{where}: label {listed} does not always stand for one class of the data set", hint=_DAMAGED
            )
        return number
