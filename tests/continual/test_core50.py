"""The streams published with CORe50, on made-up files in the published form."""

from pathlib import Path

import pytest
import torch

from onebit import OnebitError
from onebit.continual import Stream, new_instances, new_instances_and_classes
from onebit.continual.core50 import read_file_lists, read_test_list
from onebit.data.core50 import CORe50
from tests.data.core50 import write_lists


def listed(files: tuple[str, ...], labels: dict[int, int]) -> list[str]:
    return [f"{file} {labels[int(file.split('/')[1][1:])]}" for file in files]


def test_the_protocols_of_the_paper_have_its_lengths(core50: CORe50) -> None:
    labels, sessions = core50.train()[1], core50.train_sessions
    for units, length in ((5, 79), (2, 196), (1, 391)):
        stream = new_instances_and_classes(labels, sessions, first=10, units=units, seed=0)
        assert len(stream) == length
        assert len(stream[0].classes) == 10
    stream = new_instances(labels, 8, seed=0, sessions=sessions)
    assert [len(set(sessions[e.indices].tolist())) for e in stream] == [1] * 8


def test_published_lists_are_a_stream(tmp_path: Path, core50: CORe50) -> None:
    files, labels = core50.train_files, core50.train()[1]
    renumbered = {number: 50 - number for number in range(1, 51)}
    batches = [[file for file in files if file.startswith(f"s{session}/")] for session in (4, 1, 2, 5, 6, 11, 9, 8)]
    lists = [listed(tuple(batch), renumbered) for batch in batches]
    run = write_lists(tmp_path / "NI_inc" / "run0", lists, listed(core50.test_files, renumbered))
    stream = read_file_lists(run, files, labels)
    assert [e.id for e in stream][:2] == ["NI_inc-run0-0", "NI_inc-run0-1"]
    assert [files[i] for i in stream[0].indices] == batches[0]
    assert stream[0].classes == tuple(range(50))
    assert read_test_list(run, core50.test_files, core50.test()[1]).tolist() == list(range(150))
    stream.write(tmp_path / "stream.json", files)
    again = Stream.read(tmp_path / "stream.json", labels, files)
    assert all(torch.equal(a.indices, b.indices) for a, b in zip(stream, again, strict=True))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("s1/o1/C_01_01_000.png", "line 2: not a file"),
        ("../../secret.png 0", "line 2: the data set has no file"),
        ("s1/o2/C_01_02_000.png 0", "label 0 does not always"),
        ("s2/o1/C_02_01_000.png 7", "label 7 does not always"),
        ("s1/o1/C_01_01_000.png 0", "twice"),
    ],
)
def test_a_damaged_list_is_refused(tmp_path: Path, core50: CORe50, line: str, reason: str) -> None:
    run = write_lists(tmp_path / "lists" / "run0", [["s1/o1/C_01_01_000.png 0", line]], [])
    with pytest.raises(OnebitError, match=reason):
        read_file_lists(run, core50.train_files, core50.train()[1])


def test_a_missing_list_is_noticed(tmp_path: Path, core50: CORe50) -> None:
    run = write_lists(tmp_path / "NIC_inc" / "run0", [["s1/o1/C_01_01_000.png 0"]], [])
    with pytest.raises(OnebitError, match="holds 1 files"):
        read_file_lists(run, core50.train_files, core50.train()[1])
    with pytest.raises(OnebitError, match="holds 0 files"):
        read_file_lists(tmp_path, core50.train_files, core50.train()[1])
