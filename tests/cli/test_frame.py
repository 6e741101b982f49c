"""The frame of the command line: help, unknown words, exit codes, the two kinds of output."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from onebit import OnebitError, cli

ONEBIT = [sys.executable, "-m", "onebit"]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    assert f"example: onebit {name}" in capsys.readouterr().out


@pytest.mark.parametrize("action", ["new", "teach", "watch", "ask", "show", "forget", "rename", "rollback", "check"])
def test_every_action_has_help_of_its_own(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["learn", action, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"example: onebit learn {action} store" in printed
    assert ("--learning-rate" in printed) == (action in ("teach", "watch"))
    assert ("--until-idle" in printed) == (action == "watch")


def test_no_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    printed = capsys.readouterr().out  # a second call would return nothing
    assert all(name in printed for name in ("demo", "train", "learn"))


@pytest.mark.parametrize("words", [["explode"], ["doctor", "--no-such-option"], ["doctor", "--js"], ["run"]])
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "m.obn", "a.png", "--threads", "x"], "--threads must be int, not x"),
        (["learn", "teach", "s", "--learning-rate", "fast"], "--learning-rate must be float, not fast"),
        (["train", "r.yaml", "--trainer.max_steps", "many"], "--trainer.max_steps must be int, not many"),
        (["train", "r.yaml", "--data.classes", "3"], "--data.classes must be list[str] or list[int], not 3"),
        (["learn", "teach"], "required: store (see"),
        (["learn"], 'expected "action" to be one of {new,teach,'),
    ],
)
def test_a_wrong_value_names_its_option(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["run", "--help"], ["inspect", "MODEL"], ["inspect", "MODEL", "--json"]])
def test_the_reader_of_the_output_may_leave(words: list[str], digits_model: Path) -> None:
    """As with ``| head``."""
    given = [str(digits_model) if word == "MODEL" else word for word in words]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*ONEBIT, *given], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [["inspect", "MODEL"], ["inspect", "MODEL", "--json"], ["inspect", "x", "--json"]])
def test_output_that_cannot_be_written_is_one_line(words: list[str], digits_model: Path) -> None:
    given = [str(digits_model) if word == "MODEL" else word for word in words]
    with open("/dev/full", "w") as full:
        done = subprocess.run([*ONEBIT, *given], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("columns", ["20", "40", None])
def test_no_name_is_cut(
    columns: str | None, digits_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    for command in ("inspect", "bench"):
        assert cli.main([command, str(digits_model), *(["--profile"] if command == "bench" else [])]) == 0
        printed = capsys.readouterr().out
        assert "…" not in printed
        assert ("blocks.0.conv.input_quantizer" in printed) == (columns is None)


def test_standard_output_may_be_closed(digits_model: Path, digit_folder: Path, tmp_path: Path) -> None:
    command = f"{ONEBIT[0]} -m onebit run {digits_model} {digit_folder}/6/0.png >&- 2>{tmp_path}/errors"
    assert subprocess.run(["sh", "-c", command]).returncode == 0
    assert (tmp_path / "errors").read_text() == ""
