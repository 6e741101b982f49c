"""``onebit evaluate``: a checkpoint and its packed model on the same images."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onebit.cli import main
from onebit.training import fit
from tests.training.recipes import tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, seed: int) -> dict[str, Any]:
    """A network that knows three classes in an order of their own."""
    folder = tmp_path_factory.mktemp("run")
    trainer = {"max_steps": 60, "validate_every": 30}
    recipe = tiny(data={"classes": ["7", "1", "4"]}, trainer=trainer, seed=seed)
    result = fit(recipe, folder, progress=False)
    assert main(["export", result["checkpoint"], "-o", str(folder / "model.obn")]) == 0
    return {**result, "obn": str(folder / "model.obn")}


def evaluated(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["evaluate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.learning
@pytest.mark.parametrize("file", ["checkpoint", "obn"])
def test_repeats_the_accuracy_of_training(
    file: str,
    trained: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    result = evaluated(capsys, trained[file])
    assert list(result) == ["top1", "top5", "images", "seconds", "skipped"]
    record_property("top1", result["top1"])
    assert result["top1"] == trained["best_top1"] > 0.8
    assert result["top5"] == 1.0
    assert result["images"] == 36 + 36 + 36
    assert evaluated(capsys, trained[file], "--data", "digits")["top1"] == result["top1"]


@pytest.mark.slow
def test_for_people(trained: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", trained["obn"]]) == 0
    assert f"top-1 {trained['best_top1']:.2%}, top-5 100.00% of 108 images" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.ckpt"], "nowhere.ckpt: no such checkpoint"),
        (["nowhere.obn"], "nowhere.obn"),
        (["CHECKPOINT", "--data", "mnits"], "no data set 'mnits'"),
        (["CHECKPOINT", "--data", "cifar10"], "has no class '7'"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["evaluate", *(trained["checkpoint"] if word == "CHECKPOINT" else word for word in words)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_file_is_known_by_its_first_bytes(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(trained["obn"], tmp_path / "model.bin")
    assert evaluated(capsys, str(tmp_path / "model.bin"))["top1"] == evaluated(capsys, trained["obn"])["top1"]
    assert main(["export", str(tmp_path / "model.bin"), "-o", str(tmp_path / "again.obn")]) == 2
    assert "is a packed model, not a checkpoint" in capsys.readouterr().err
