from pathlib import Path

import pytest

import onebit
from onebit import cli
from onebit.runtime import Program
from tests.cli.calls import call, fails


def test_a_program(digits_model: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "m.obp"
    result = call(capsys, "compile", digits_model, "-o", path, "--outputs", "logits")
    program = Program(onebit.load(digits_model), ["logits"])
    assert path.read_bytes() == program.data
    assert result == {
        "path": str(path),
        "bytes": len(program.data),
        "arena_bytes": program.arena_bytes,
        "outputs": {"logits": [6, 1, 1]},
    }


def test_a_header(digits_model: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "my-net.h"
    assert cli.main(["compile", str(digits_model), "-o", str(path)]) == 0
    out = capsys.readouterr().out
    assert "my_net_program, MY_NET_ARENA_BYTES" in out
    assert path.read_text() == Program(onebit.load(digits_model)).c_header("my-net")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-o", "m.c"], "ends neither in .h nor in .obp (.h is a C header"),
        (["-o", "m.obp", "--outputs", "boxes"], "no output 'boxes' (its outputs: logits, features)"),
        (["-o", "there.obp"], "exists already"),
        (["-o", "nowhere/m.obp"], "make the folder first"),
    ],
)
def test_bad_input(words: list[str], reason: str, digits_model: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.obp").write_text("mine")
    assert reason in fails(capsys, "compile", digits_model, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["there.obp"]
    assert Path("there.obp").read_text() == "mine"


def test_no_model(tmp_path: Path, capsys) -> None:
    assert "no.obn" in fails(capsys, "compile", tmp_path / "no.obn", "-o", tmp_path / "m.obp")
    assert not list(tmp_path.iterdir())
