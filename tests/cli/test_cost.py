import json
from pathlib import Path

import pytest

from onebit import cli

RECIPE = """
model: {name: small, options: {width: 8}}
method: {class_path: onebit.methods.CycleBNN, init_args: {bits: [2, 6], gradient_bits: 8}}
data: {name: digits, batch_size: 16}
trainer: {max_epochs: 1}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_json_has_the_promised_keys(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", str(recipe), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    promised = {"layers", "forward", "backward", "total", "saved_percent", "paper_formula_saved_percent"}
    assert promised | {"memory_bytes", "energy_joule"} <= set(result)
    assert result["paper_formula_saved_percent"] == pytest.approx(97.32, abs=0.005)
    assert result["layers"][0]["name"] == "stem.0"
    assert result["layers"][1]["error"].keys() == {"8x1"}
    assert sum(result["total"].values()) == sum(result["forward"].values()) + sum(result["backward"].values())


def test_the_table_is_for_people(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", str(recipe)]) == 0
    text = capsys.readouterr().out
    assert "97.32 %" in text
    assert "not reproduced" in text
    assert "as PyTorch holds it" in text
    assert "blocks.0.conv" in text


def test_another_method_is_not_called_cyclebnn(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", "small", "--method", "ReCU"]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "not weighted" in line)
    assert "quantised layers" in row
    assert "97.88 %" in row  # 1 - (1 + 32 + 32) / (3 * 32^2)
    assert "CycleBNN" not in row


@pytest.mark.slow
def test_the_plot_is_drawn_and_never_replaced_unasked(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = recipe.parent / "cost.svg"
    assert cli.main(["cost", str(recipe), "--plot", str(plot)]) == 0
    drawn = plot.read_bytes()
    assert b"<svg" in drawn
    assert cli.main(["cost", str(recipe), "--plot", str(plot)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert plot.read_bytes() == drawn
    assert cli.main(["cost", str(recipe), "--plot", str(plot), "--force"]) == 0


def test_the_data_need_not_be_there(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEBIT_DATA", str(recipe.parent / "nowhere"))
    recipe.write_text("model: {name: resnet20_cifar}\ndata: {name: cifar100}\ntrainer: {max_epochs: 1}\n")
    assert cli.main(["cost", str(recipe), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["paper_formula_saved_percent"] is None
    assert "counted with 10 classes" in result["note"]


def test_a_model_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["cost", "small", "--method", "CycleBNN", "--batch-size", "4", "--classes", "7", "--json"]
    assert cli.main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["layers"][-1]["output_shape"], result["batch"], result["note"]) == ([7], 4, "")
    assert result["total"].keys() == {"1x1", "8x1", "32x32"}
    assert {statement["figure"]: statement["reproduced"] for statement in result["published"]} == {
        97.32: True,
        96.09: False,
        88.88: False,
        0.25: True,
    }


def test_the_twin_and_no_method(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", str(recipe), "--method", "none", "--full-precision", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["total"].keys() == {"32x32"}
    assert result["published"] == []
    assert result["layers"][1]["kind"] == "Conv2d"
    assert result["counted_memory_bytes"] == result["memory_bytes"]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("name: small", "name: smal", "there is no model 'smal'"),
        ("name: digits", "name: digit", "there is no data set 'digit'"),
        ("bits: [2, 6]", "bits: [6, 2]", "bits from 6 to 2"),
        ("trainer:", "coach:", "unknown key coach"),
    ],
)
def test_a_bad_recipe_is_one_line(
    recipe: Path, old: str, new: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(RECIPE.replace(old, new))
    assert cli.main(["cost", str(recipe)]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert len(error.strip().splitlines()) == 1


def test_a_plot_of_another_format_is_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", str(recipe), "--plot", "cost.txt"]) == 2
    assert "cannot be written in this format" in capsys.readouterr().err
