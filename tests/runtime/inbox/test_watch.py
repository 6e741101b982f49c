"""A folder that is being written to: what is whole, and what was taught before."""

import os
from pathlib import Path

import pytest

from onebit import OnebitError
from onebit.runtime.inbox.journal import Journal, hash_of
from onebit.runtime.inbox.watch import Watch


class Clock:
    """Moves the watch's clock and the files' dates together."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(tmp_path: Path, clock: Clock) -> Watch:
    (tmp_path / "cat").mkdir()
    return Watch(tmp_path, None, rest=10, clock=clock)


def names(watch: Watch) -> list[str]:
    return [path.name for path in watch.look().paths]


def test_a_growing_file_is_not_taken(watch: Watch, clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "cat" / "a.png"
    for size in range(1, 6):
        file.write_bytes(bytes(size))
        clock.now += 9
        assert names(watch) == []
        assert watch.busy
    clock.now += 9
    assert names(watch) == []
    clock.now += 1
    batch = watch.look()
    assert batch.paths == (file,)
    assert batch.names == ("cat",)
    clock.now += 100
    assert names(watch) == []
    assert not watch.busy
    file.write_bytes(b"changed")  # another image under the same name
    assert names(watch) == []
    clock.now += 10
    assert names(watch) == ["a.png"]


def test_a_file_renamed_into_place_need_not_rest(watch: Watch, clock: Clock, tmp_path: Path) -> None:
    hidden, file = tmp_path / "cat" / ".a.png.part", tmp_path / "cat" / "a.png"
    hidden.write_bytes(b"whole")
    old = hidden.stat().st_mtime - 60
    os.utime(hidden, (old, old))
    assert names(watch) == []
    assert not watch.busy
    hidden.rename(file)
    assert names(watch) == []  # two looks
    assert names(watch) == ["a.png"]


def test_a_batch_waits_for_what_still_grows_but_not_for_ever(watch: Watch, clock: Clock, tmp_path: Path) -> None:
    folder = tmp_path / "cat"
    (folder / "a.png").write_bytes(b"a")
    assert names(watch) == []
    size = 0
    while clock.now < 90:
        (folder / "log.png").write_bytes(bytes(size := size + 1))
        clock.now += 10
        assert names(watch) == []
    (folder / "log.png").write_bytes(bytes(size + 1))
    clock.now += 10
    assert names(watch) == ["a.png"]
    clock.now += 10
    assert names(watch) == ["log.png"]


def test_what_comes_together_is_one_batch(watch: Watch, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "dog").mkdir()
    for name in ("cat/1.png", "dog/2.jpg", "dog/.3.png", "dog/4.txt", "cat/empty.png"):
        (tmp_path / name).write_bytes(b"" if "empty" in name else b"x")
    assert names(watch) == []
    clock.now += 5
    assert names(watch) == []
    clock.now += 5
    batch = watch.look()
    assert [path.name for path in batch.paths] == ["1.png", "empty.png", "2.jpg"]
    assert batch.names == ("cat", "cat", "dog")
    assert not watch.busy  # the empty one, too, until it changes
    (tmp_path / "cat/empty.png").write_bytes(b"x")
    assert names(watch) == []
    clock.now += 10
    assert names(watch) == ["empty.png"]
    (tmp_path / "cat/1.png").unlink()
    clock.now += 100
    assert names(watch) == []


def test_hidden_folders_are_passed_over(watch: Watch, clock: Clock, tmp_path: Path) -> None:
    for name in ("cat/.trash/9.png", "cat/more/.ipynb_checkpoints/8.png", "cat/more/7.png", ".hidden/6.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    watch.look()
    clock.now += 10
    assert names(watch) == ["7.png"]


def test_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(OnebitError, match="no folder"):
        Watch(tmp_path / "none", None)


def test_the_ledger_survives_a_cut_at_every_byte(tmp_path: Path) -> None:
    """What was ended is known; what was begun and not ended is known if the learner counts it."""
    journal = Journal(tmp_path / "whole", lambda experience: False)
    for i in range(3):
        journal.begin(f"e{i}", [hash_of(b"%d" % i, "cat"), hash_of(b"%d" % i, "dog")])
        journal.end(f"e{i}")
    content = journal.path.read_bytes()
    for at in range(len(content) + 1):
        path = tmp_path / "cut"
        for counts in (False, True):
            path.write_bytes(content[:at])
            whole = content[: content.rfind(b"\n", 0, at) + 1]
            ended, begun = (whole.count(word) for word in (b"end ", b"begin "))
            again = Journal(path, lambda experience, counts=counts: counts)
            for _ in range(2):
                known = [hash_of(b"%d" % i, "cat") in again for i in range(3)]
                assert known == [i < (begun if counts else ended) for i in range(3)], at
                again = Journal(path, lambda experience: False)  # it was written down


def test_the_same_bytes_of_another_class_are_another_image() -> None:
    assert hash_of(b"x", "cat") != hash_of(b"x", "dog")
    assert hash_of(b"x", "cat") != hash_of(b"y", "cat")
