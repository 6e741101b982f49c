"""Nothing is ever half-written: atomic_file() against failures in the middle, existing files and full disks."""

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onebit import OnebitError
from onebit.files import atomic_dir, atomic_file


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "m.obn"
    target.write_text("old")

    def fail() -> None:
        with atomic_file(target, force=True) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    target = tmp_path / "m.obn"
    target.write_text("old")
    with pytest.raises(OnebitError, match="--force"), atomic_file(target):
        pass
    with atomic_file(target, force=True) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OnebitError, match="nowhere does not exist"), atomic_file(tmp_path / "nowhere" / "m.obn"):
        pass


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "m.obn"
    target.write_text("old")
    code = (
        "import sys; from onebit.files import atomic_file\n"
        "with atomic_file(sys.argv[1], force=True) as t: t.write_bytes(bytes(1 << 20))"
    )

    def limit() -> None:  # a write past 64 KiB fails, as on a full disk
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))

    failed = subprocess.run([sys.executable, "-c", code, str(target)], preexec_fn=limit, capture_output=True, text=True)
    assert failed.returncode != 0
    assert "File too large" in failed.stderr
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_names_the_file(small_disk: Path) -> None:
    target = small_disk / "m.obn"
    with pytest.raises(OSError, match=r"No space left on device: '.*/m\.obn'"), atomic_file(target) as temporary:
        temporary.write_bytes(bytes(1 << 20))
    assert list(small_disk.iterdir()) == []


def test_a_folder_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_dir(tmp_path / "store") as temporary:
            (temporary / "half").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(OnebitError, match="exists already"), atomic_dir(tmp_path):
        pass
    place = tmp_path / "store"

    def race() -> None:
        with atomic_dir(place) as temporary:
            (temporary / "mine").write_text("mine")
            place.mkdir()
            (place / "theirs").write_text("theirs")

    with pytest.raises(OnebitError, match="another process"):
        race()
    assert [path.name for path in tmp_path.glob("**/*")] == ["store", "theirs"]


@pytest.mark.parametrize("write", [atomic_dir, atomic_file])
def test_a_folder_that_cannot_be_written_to(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(OnebitError, match="cannot be written to"), write(tmp_path / "new"):
        pass
