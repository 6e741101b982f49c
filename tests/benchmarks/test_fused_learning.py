"""What benchmarks/fused_learning.py runs and counts, and what the page makes of it; the numbers here are made up."""

import json
from pathlib import Path
from typing import Any

import fused_learning
import pytest
import training_report
from PIL import Image

from onebit.training import read_recipe
from tests.benchmarks.pages import PROVENANCE, cells


def run(way: str, seed: int, top1: float) -> dict[str, Any]:
    figures = {"test_top1": top1, "validation_top1": top1 / 2, "seconds": 60.0 + seed, "images_per_second": 1000.0}
    curve = [{"epoch": 1.0, "top1": top1 / 4}, {"epoch": 2.0, "top1": top1 / 2}]
    return {"method": "RBONN", "way": way, "seed": seed, "curve": curve, **figures}


RUNS = [run(way, seed, 0.5 + 0.1 * seed) for way in fused_learning.WAYS for seed in (0, 1)]


def test_summary() -> None:
    found = fused_learning.summary(RUNS)["RBONN"]["fused float32"]
    assert found["test_top1"] == pytest.approx({"mean": 0.55, "deviation": 0.1 / 2**0.5})
    assert found["seconds"] == 60.5
    assert found["curve"][1] == pytest.approx({"epoch": 2.0, "mean": 0.275, "deviation": 0.05 / 2**0.5})


def test_the_page_and_its_plot(tmp_path: Path) -> None:
    values = {"epochs": 2.0, "steps": 704, "batch_size": 128, "held_out": 5000, "seeds": [0, 1]}
    record = {**values, "shortened": "SHORTENED to 2 epochs", "summary": fused_learning.summary(RUNS)}
    page = training_report.learning({**record, "provenance": PROVENANCE})
    assert cells(page, "RBONN", "PyTorch float32") == ["55.0 ± 7.1", "27.5 ± 3.5", "1", "1,000"]
    assert "SHORTENED to 2 epochs (704 steps) of batch 128, 2 seeds" in page
    training_report.draw_learning(record, tmp_path / "learning.png")
    with Image.open(tmp_path / "learning.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50, "something is drawn"


def test_commands_are_of_one_budget_and_go_on(tmp_path: Path) -> None:
    run = "RBONN", "PyTorch float32", 2, 100, tmp_path
    words = fused_learning.command(*run)
    options = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--") and "=" in word)
    recipe = read_recipe(words[4], {key: json.loads(value) for key, value in options.items() if value.isdigit()})
    assert (recipe.data.validation, recipe.data.batch_size, recipe.trainer.max_steps, recipe.seed) == (
        5000,
        128,
        100,
        2,
    )
    assert options["trainer.backend"] == "torch"
    assert "resume" not in options
    (tmp_path / "last.ckpt").touch()
    assert f"--resume={tmp_path / 'last.ckpt'}" in fused_learning.command(*run)
