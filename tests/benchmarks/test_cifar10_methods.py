"""The protocol of benchmarks/cifar10_methods.py, and what the page makes of its runs; the figures here are made up."""

import json
from pathlib import Path
from typing import Any

import cifar10_methods
import pytest
import training_report
from cifar10_methods import EPOCHS, FIRST, NETWORK, OWN, PLAIN, Run
from PIL import Image

from onebit.training import read_recipe
from tests.benchmarks.pages import PROVENANCE, cells


def made(run: Run, top1: float) -> dict[str, Any]:
    figures = {"test_top1": top1, "validation_top1": top1 + 0.01, "seconds": 7200.0, "operations_saved_percent": 97.0}
    return {**run._asdict(), **figures, "energy_joule": {"training": 100.0}, "curve": [{"epoch": 1.0, "top1": top1}]}


def test_every_run_is_wanted_once() -> None:
    runs = cifar10_methods.plan("ReCU", EPOCHS)
    assert len(runs) == len(set(runs)) == 3 * 4 + 2 * 3 + 2 * 4
    assert {run.seed for run in runs if run.method in FIRST and run.network == NETWORK} == {0, 1, 2}
    assert {run.method for run in runs if run.network == OWN} == set(FIRST)
    assert len({run.folder(Path()) for run in runs}) == len(runs)


def test_the_plain_network_waits_for_its_setting() -> None:
    done = cifar10_methods.plan(None, EPOCHS)
    assert PLAIN not in {run.method for run in done}
    missing = cifar10_methods.waiting(done, EPOCHS)
    assert {run["method"] for run in missing} == {PLAIN}
    assert len(missing) == 5
    assert not cifar10_methods.waiting(cifar10_methods.plan("ReCU", EPOCHS), EPOCHS)


@pytest.mark.parametrize("run", cifar10_methods.plan("ReCU", EPOCHS)[:7], ids=lambda run: run.method)
def test_the_command_is_the_protocol_s(run: Run, tmp_path: Path) -> None:
    words = run.command(tmp_path)
    options = dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)
    options = {key: value if value[0].isalpha() else json.loads(value) for key, value in options.items()}
    options["data.normalize"] = options["data.normalize"] == "true"
    recipe = read_recipe(words[4], options)
    assert (recipe.data.batch_size, recipe.data.validation, recipe.data.normalize) == (128, 5000, True)
    assert (recipe.trainer.max_steps, recipe.trainer.max_epochs) == (35_200, None)
    assert recipe.model.name == "resnet20_recu"
    assert recipe.model.options.get("full_precision", False) == (run.method == "full precision")
    assert (recipe.trainer.backend == "torch") == (run.method == "full precision")
    assert recipe.seed == run.seed


def test_the_settings_are_the_recipes() -> None:
    assert cifar10_methods.SETTINGS["ReCU"] == ("sgd", 0.1, 5e-4, "cosine", 5)
    assert cifar10_methods.SETTINGS["RBONN"] == ("adam", 1e-3, 0.0, "linear", 0)


def test_the_setting_is_chosen_on_the_images_held_out() -> None:
    grid = [{"setting": "ReCU", "validation_top1": 0.5}, {"setting": "RBONN", "validation_top1": 0.6}]
    assert cifar10_methods.choose(grid) == "RBONN"


def test_the_page_and_its_plot(tmp_path: Path) -> None:
    runs = [made(Run(method, NETWORK, "ReCU", seed, 100), 0.5 + 0.1 * seed) for seed in (0, 1) for method in FIRST]
    runs.append(made(Run("ReCU", NETWORK, "ReCU", 0, 100), 0.75))
    grid = {"epochs": 10, "chosen": "ReCU", "runs": [{"setting": "ReCU", "validation_top1": 0.625}]}
    values = {"epochs": 100, "pilot": None, "batch_size": 128, "held_out": 5000, "grid": grid, "waiting": [{}]}
    record = {**values, "summary": cifar10_methods.summary(runs), "provenance": PROVENANCE}
    page = training_report.methods(record)
    assert cells(page, NETWORK, "RBONN")[:5] == ["ReCU", "2", "55.0 ± 7.1", "56.0 ± 7.1", "97.00"]
    assert cells(page, NETWORK, "ReCU")[1:3] == ["1", "75.0"]
    assert "in %: ReCU 62.5" in page
    assert "1 runs of the protocol are not finished" in page
    training_report.draw_methods(record, tmp_path / "methods.png")
    with Image.open(tmp_path / "methods.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50, "something is drawn"
