"""What benchmarks/learning_bounds.py takes over from a run that was broken off."""

import json
from pathlib import Path

import learning_bounds
import pytest


def test_a_run_goes_on_for_the_same_tests_at_the_same_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bounds.json"
    now = {"commit": "abc", "modified": False}
    monkeypatch.setattr(learning_bounds, "provenance", lambda: now)
    assert not learning_bounds.begun(path, ["tests"])
    runs = [{"seed": 3, "isa": "AVX2", "value": 0.5}]
    path.write_text(json.dumps({"pytest": ["tests"], "results": {"a: top-1": {"runs": runs}}, "provenance": now}))
    assert learning_bounds.begun(path, ["tests"]) == {"a: top-1": runs}
    assert not learning_bounds.begun(path, ["tests/methods"])
    for other in ({**now, "commit": "def"}, {**now, "modified": True}):
        monkeypatch.setattr(learning_bounds, "provenance", lambda other=other: other)
        assert not learning_bounds.begun(path, ["tests"])


def test_seeds_that_are_done_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, measured = tmp_path / "bounds.json", []

    def measure(words: list[str], seed: int, isa: str) -> dict[str, float]:
        measured.append((seed, isa))
        return {"a: top-1": 0.5 + seed / 10}

    monkeypatch.setattr(learning_bounds, "measure", measure)
    monkeypatch.setattr(learning_bounds, "provenance", lambda: {"commit": None, "modified": None})
    monkeypatch.setattr(
        learning_bounds,
        "write_record",
        lambda where, content: Path(where).write_text(json.dumps({**content, "provenance": {"commit": None}})),
    )
    for seeds in (["0"], ["0", "1"]):
        monkeypatch.setattr("sys.argv", ["learning_bounds.py", "--output", str(path), "--seeds", *seeds])
        learning_bounds.main()
    assert measured == [(0, "SSE41"), (1, "AVX2")]
    found = json.loads(path.read_text())["results"]["a: top-1"]
    assert found["mean"] == pytest.approx(0.55)
    assert [run["seed"] for run in found["runs"]] == [0, 1]
