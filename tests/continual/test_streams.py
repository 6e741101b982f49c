"""The file of a stream: what is written is read, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onebit import OnebitError, data
from onebit.continual import Stream, new_classes, new_instances

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 2])
FILES = [f"{'abc'[c]}/{number}.png" for number, c in enumerate(LABELS.tolist())]


def same(one: Stream, other: Stream) -> bool:
    return [(e.id, e.classes, e.indices.tolist()) for e in one] == [
        (e.id, e.classes, e.indices.tolist()) for e in other
    ]


@given(st.lists(st.integers(0, 4), min_size=5, max_size=60), st.integers(0, 99), st.booleans())
def test_a_stream_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], seed: int, named: bool
) -> None:
    labels = torch.tensor(values)
    files = [f"{number}.png" for number in range(len(values))] if named else None
    stream = new_classes(labels, [1] * len(labels.unique()), seed, data="möwe")
    path = tmp_path_factory.mktemp("stream") / "s.json"
    stream.write(path, files)
    assert same(Stream.read(path, labels, files), stream)


def test_a_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    stream = new_instances(LABELS, 2, 0)
    stream.write(tmp_path / "s.json")
    with pytest.raises(OnebitError, match="exists"):
        stream.write(tmp_path / "s.json")
    with pytest.raises(OnebitError, match="file names"):
        stream.write(tmp_path / "t.json", ["a.png"])


def test_another_data_set_is_refused(tmp_path: Path) -> None:
    new_instances(LABELS, 2, 0, data="toy").write(tmp_path / "s.json")
    with pytest.raises(OnebitError, match="7 samples"):
        Stream.read(tmp_path / "s.json", LABELS[:5])
    with pytest.raises(OnebitError, match="'toy'"):
        Stream.read(tmp_path / "s.json", LABELS.flip(0))


def changed(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    target: Any = content
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        target = target[step]
    target[last] = value
    if last == "indices":
        target.pop("files", None)
    return content


@pytest.mark.parametrize("files", [None, FILES])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", "onebit stream 2"),
        ("data", 3),
        ("samples", 8),
        ("samples", "7"),
        ("labels_sha256", None),
        ("experiences", []),
        ("experiences", {}),
        ("experiences.0", 1),
        ("experiences.0.id", ""),
        ("experiences.0.id", "a\nb"),
        ("experiences.0.id", "nc-1"),
        ("experiences.0.classes", [1]),
        ("experiences.0.classes", [False]),
        ("experiences.0.classes", None),
        ("experiences.0.indices", []),
        ("experiences.0.indices", [0, 0]),
        ("experiences.0.indices", [0, 1.5]),
        ("experiences.0.indices", [-1]),
        ("experiences.0.indices", [7]),
        ("experiences.0.indices", [10**30]),
        ("experiences.0.indices", [1]),
        ("experiences.0.indices", "0"),
        ("experiences.0.files", ["../etc/passwd"]),
        ("experiences.0.files", [[]]),
        ("experiences.0.files", ["a/0.png", "a/0.png"]),
        ("experiences.0.files", 0),
    ],
)
def test_a_changed_file_is_refused_by_its_place(tmp_path: Path, files: list[str] | None, path: str, value: Any) -> None:
    place = tmp_path / "s.json"
    new_classes(LABELS, [1, 1, 1]).write(place, files)
    place.write_text(json.dumps(changed(json.loads(place.read_text()), path, value)))
    with pytest.raises(OnebitError, match=r"s\.json"):
        Stream.read(place, LABELS, files)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{", b"[" * 100_000, b"9" * 10_000, b"null"])
def test_what_is_no_stream_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.json").write_bytes(content)
    with pytest.raises(OnebitError, match=r"s\.json"):
        Stream.read(tmp_path / "s.json", LABELS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OnebitError, match=r"none\.json"):
        Stream.read(tmp_path / "none.json", LABELS)
    new_classes(LABELS, [3]).write(tmp_path / "s.json", FILES)
    with pytest.raises(OnebitError, match="names of the data set's files"):
        Stream.read(tmp_path / "s.json", LABELS)


def test_a_folder_of_images_is_repeated_by_its_names(tmp_path: Path, digit_folder: Path) -> None:
    folder = data.create("folder", path=digit_folder, size=8)
    assert isinstance(folder, data.Folder)
    labels, files = folder.train()[1], folder.train_files
    stream = new_instances(labels, 3, seed=1, data="digit images")
    stream.write(tmp_path / "s.json", files)
    listed = json.loads((tmp_path / "s.json").read_text())["experiences"][0]["files"]
    assert all((digit_folder / name).is_file() for name in listed)
    assert not set(files) & set(folder.test_files)
    assert same(Stream.read(tmp_path / "s.json", labels, files), stream)
