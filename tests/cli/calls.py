"""Calling a command as a program does: with --json."""

import json
from typing import Any

import pytest

from onebit import cli


def call(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    """The object that --json prints."""
    assert cli.main([*map(str, words), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line on stderr."""
    assert cli.main([*map(str, words), "--json"]) == 2
    captured = capsys.readouterr()
    assert set(json.loads(captured.out)) == {"error", "hint"}
    assert len(captured.err.splitlines()) == 1
    return captured.err
