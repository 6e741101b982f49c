"""Every file and name of docs/where-is.md is there."""

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\|.*\| `([^`]+)` \| (`.+`) \|$", re.MULTILINE)
PLACES = [
    (file, name)
    for file, names in ROW.findall((ROOT / "docs" / "where-is.md").read_text(encoding="utf-8"))
    for name in re.findall(r"`([^`]+)`", names)
]


def test_every_row_of_the_page_is_read() -> None:
    text = (ROOT / "docs" / "where-is.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| equation")]
    assert len(rows) == len(ROW.findall(text)) > 40


@pytest.mark.parametrize(("file", "name"), PLACES, ids=lambda part: part.rsplit("/", 1)[-1])
def test_the_name_is_in_the_file(file: str, name: str) -> None:
    if file.endswith(".py"):
        module = importlib.import_module(file.removeprefix("src/").removesuffix(".py").replace("/", "."))
        found = reduce(getattr, name.split("."), module)
        assert getattr(found, "__module__", module.__name__) == module.__name__  # not merely imported there
        return
    path = ROOT / file
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.suffix in (".h", ".cpp")]
    assert any(re.search(rf"\b{name}\b", each.read_text(encoding="utf-8")) for each in files)
