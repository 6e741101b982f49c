from collections.abc import Callable
from pathlib import Path

import pytest

from onebit import cli
from tests.cli.calls import call, fails

RECIPE = """
model: {name: small, options: {width: 8}}
method: {class_path: onebit.methods.CycleBNN}
data: {name: digits, batch_size: 32}
optimizer: {lr: 0.001}
trainer: {max_epochs: 1, threads: 1}
"""
WORDS = ("--lowest", "1", "--highest", "5", "--steps", "60", "--threshold", "0.1")


@pytest.fixture
def recipe(tmp_path: Path, seed: int) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"{RECIPE}seed: {seed}\n")
    return path


@pytest.mark.learning
def test_the_lowest_bits_are_the_last_that_were_tried(
    recipe: Path, capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> None:
    result = call(capsys, "precision", recipe, *WORDS)
    gains = [row["gain"] for row in result["tried"]]
    record_property("gain", gains[-1])
    assert result["lowest_bits"] == result["tried"][-1]["bits"]
    assert gains[-1] > 0.1
    assert all(gain <= 0.1 for gain in gains[:-1])


def test_the_table_is_for_people(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["precision", str(recipe), "--highest", "2", "--steps", "2", "--window", "1"]) == 0
    assert "none gained more than 5%" in capsys.readouterr().out


def test_a_recipe_without_a_cycle_is_one_line(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(RECIPE.replace("method: {class_path: onebit.methods.CycleBNN}", ""))
    assert "the recipe has no method" in fails(capsys, "precision", recipe)
