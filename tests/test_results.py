"""The pages of results are what the records say, and every record says where it comes from."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECORDS = sorted((ROOT / "results").glob("*.json"))


def test_the_pages_are_those_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for path, text in runpy.run_path(str(ROOT / "benchmarks" / "report.py"))["pages"]().items():
        assert path.read_text("utf-8") == text, f"run python benchmarks/report.py: {path.name} is out of date"


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_where_it_comes_from(path: Path) -> None:
    record = json.loads(path.read_text("utf-8"))
    made = record["provenance"]
    assert made["commit"]
    assert made["modified"] is False
    assert made["date"]
    assert made["machine"]["cpu"]
    assert '"seed' in path.read_text("utf-8")
    for learners in record.get("streams", {}).values():  # their runs were made in pieces
        for row in learners.values():
            assert row["modified"] is (None if "unknown" in row["commits"] else False)
