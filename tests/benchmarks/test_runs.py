"""What benchmarks/runs.py begins, goes on with and reads; the figures here are made up."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import runs


def test_an_epoch_is_without_the_images_held_out() -> None:
    assert [runs.epoch(batch) for batch in (45_000, 128, 16)] == [1, 352, 2813]


def test_so_many_at_a_time_and_none_after_a_failure(tmp_path: Path) -> None:
    def write(name: str, code: int = 0) -> list[str]:
        return [sys.executable, "-c", f"open({str(tmp_path / name)!r}, 'w'); raise SystemExit({code})"]

    with pytest.raises(SystemExit, match="a run failed"):
        runs.train([write("a"), write("b", 1), write("c")], side_by_side=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_test_images_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(words: list[str], **options: Any) -> Any:
        asked.append(words)
        return subprocess.CompletedProcess(words, 0, stdout='{"top1": 0.25}')

    monkeypatch.setattr(runs.subprocess, "run", answer)
    assert [runs.test_top1(tmp_path) for _ in range(2)] == [0.25, 0.25]
    assert len(asked) == 1
