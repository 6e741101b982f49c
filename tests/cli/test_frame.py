"""The frame of the command line: help, unknown words, exit codes, the two kinds of output."""

import errno
import json
import subprocess
import sys

import pytest

from onebit import OnebitError, cli


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert f"example: onebit {name}" in capsys.readouterr().out


def test_no_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    printed = capsys.readouterr().out  # a second call would return nothing
    assert all(name in printed for name in ("demo", "train", "learn"))


@pytest.mark.parametrize("words", [["explode"], ["doctor", "--no-such-option"], ["run"]])
def test_wrong_words_are_one_line_and_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1


def test_an_error_is_an_object_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "no-such-file.obn", "no-such-image.png", "--json"]) == 2
    captured = capsys.readouterr()
    assert set(json.loads(captured.out)) == {"error", "hint"}
    assert "no-such-file.obn" in captured.err


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (OnebitError("the file is short", hint="copy it again"), 2),
        (KeyboardInterrupt(), 2),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2),
        (OSError(errno.ENOSPC, "No space left on device", "m.obn"), 2),
        (ZeroDivisionError("division by zero"), 1),
    ],
)
def test_exit_codes(
    problem: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from onebit.cli import doctor

    def fail(_: object) -> dict[str, object]:
        raise problem

    monkeypatch.setattr(doctor, "run", fail)
    assert cli.main(["doctor"]) == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_module_loads_neither_torch_nor_the_training_side() -> None:
    code = (
        "import sys, onebit, onebit.cli; print([m for m in ('torch', 'lightning', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
