"""Records read, and tables written, in Markdown."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def read(name: str) -> dict[str, Any]:
    """A record of results/, by its name without ``.json``."""
    return json.loads((ROOT / "results" / f"{name}.json").read_text("utf-8"))


def source(record: dict[str, Any]) -> str:
    """Where and when a record was made.

    Example:
        >>> source({"provenance": {"machine": {"cpu": "A CPU"}, "commit": "0123456789", "date": "2026-01-02T03:04:05"}})
        'A CPU, commit 0123456, 2026-01-02.'
    """
    made = record["provenance"]
    return f"{made['machine']['cpu']}, commit {made['commit'][:7]}, {made['date'][:10]}."


def accuracy(value: dict[str, float]) -> str:
    """A mean and its deviation in per cent.

    Example:
        >>> accuracy({"mean": 0.9125, "deviation": 0.004})
        '91.2 ± 0.4'
    """
    return f"{100 * value['mean']:.1f} ± {100 * value['deviation']:.1f}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """
    Example:
        >>> print(markdown(["a", "b"], [["1", "2"]]))
        | a | b |
        | --- | --- |
        | 1 | 2 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def wrapped(text: str, width: int = 120) -> str:
    """The text with its long lines of prose broken; tables are left as they are.

    A line is never broken before a word that would begin a list, a heading or a quotation.

    Example:
        >>> print(wrapped("| a | long | table |\\n\\none + two three", 10))
        | a | long | table |
        <BLANKLINE>
        one + two
        three
        >>> print(wrapped("one two + three", 8))
        one
        two +
        three
    """
    lines = []
    for line in text.splitlines():
        rest = line
        while len(rest) > width and not rest.startswith("|"):
            ends = [m.start() for m in re.finditer(r" (?!([-+*>#|]|\d+[.)])( |$))", rest[: width + 1])]
            if not ends:
                break
            lines.append(rest[: ends[-1]])
            rest = rest[ends[-1] + 1 :]
        lines.append(rest)
    return "\n".join(lines)


def between(text: str, part: str) -> str:
    """The text with what stands between the marks of a generated table replaced.

    Example:
        >>> marked = "a\\n<!-- table: benchmarks/report.py -->\\nold\\n<!-- end of table -->\\nb\\n"
        >>> between(marked, "new").splitlines()[2:5]
        ['', 'new', '']
    """
    head, begin, rest = text.partition("<!-- table: benchmarks/report.py -->\n")
    _, end, tail = rest.partition("<!-- end of table -->\n")
    return f"{head}{begin}\n{part}\n\n{end}{tail}"
