"""The loop that the pages show trains every method as ``onebit train`` does, bit for bit."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from onebit import data, methods, models
from onebit.training import fit
from onebit.training.build import make_method
from onebit.training.recipe import Recipe
from onebit.training.weights import load_teacher
from tests.test_pages import ROOT, blocks
from tests.training.recipes import tiny

STEPS = 6
OPTIONS: dict[str, dict[str, Any]] = {
    "Bop": {"gamma": 0.1, "threshold": 1e-5},
    "CPT": {"cycles": 2},
    "CycleBNN": {"cycles": 2},
    "PFQ": {"bits": [3, 8], "gradient_bits": [6, 8], "interval": 1, "threshold": 9.0},
    "RBONN": {"tau": 0.5},
    "ReActNet": {"step": 2},
    "ReCU": {"decay_all": False},
    "Compose": {
        "methods": [
            {"class_path": "onebit.methods.CycleBNN", "init_args": {"cycles": 2}},
            {"class_path": "onebit.methods.RBONN", "init_args": {"variant": "paper"}},
        ]
    },
}
REGISTERED = [
    name
    for name in methods.__all__
    if inspect.isclass(kind := getattr(methods, name)) and issubclass(kind, methods.Method)
]
NAMES = [name for name in REGISTERED if name not in ("Method", "Distillation")]  # a recipe's teacher makes the latter


def recipe_of(name: str, **sections: Any) -> Recipe:
    method = {"class_path": f"onebit.methods.{name}", "init_args": OPTIONS.get(name, {})}
    return tiny(
        model={"options": {"width": 8, "full_precision": name in ("CPT", "PFQ")}},
        method=method,
        schedule={"name": "constant"},
        trainer={"max_steps": STEPS, "validate_every": STEPS},
        **sections,
    )


def loop_of(page: str) -> str:
    return (
        next(code for code in blocks(ROOT / page, "python") if "def train(" in code)
        .split("def train(")[1]
        .split("\n\n")[0]
        .rstrip()
    )


def own_loop(recipe: Recipe) -> dict[str, torch.Tensor]:
    """The state of the recipe's network after the loop of the page on training."""
    names: dict[str, Any] = {"torch": torch, "methods": methods}
    exec(f"def train({loop_of('docs/training.md')}", names)
    torch.manual_seed(recipe.seed)
    digits = data.DataModule(**vars(recipe.data), seed=recipe.seed)
    net = models.create(recipe.model.name, num_classes=10, **recipe.model.options)
    assert recipe.method is not None
    method = make_method(recipe.method.class_path, recipe.method.init_args, trusted=False)
    if recipe.teacher is not None:
        method = methods.Compose([methods.Distillation(load_teacher(recipe.teacher, digits)), method])
    last = torch.channels_last

    def batches() -> Any:  # once the method is attached: the training's own random numbers, as RngStream has them
        net.to(memory_format=last)  # type: ignore[call-overload]
        torch.manual_seed(int(np.random.SeedSequence((recipe.seed, 0)).generate_state(1)[0]))
        for images, labels in digits.train_dataloader():
            yield images.contiguous(memory_format=last), labels

    names["train"](net, method, batches(), STEPS, nn.CrossEntropyLoss())
    return net.state_dict()


def same(recipe: Recipe, folder: Path) -> None:
    fit(recipe, folder, progress=False)
    state = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    for name, value in own_loop(recipe).items():
        assert torch.equal(value, state[f"net.{name}"]), name


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", NAMES)
def test_the_loop_of_the_pages_trains_as_the_command_does(name: str, tmp_path: Path) -> None:
    same(recipe_of(name), tmp_path)


@pytest.mark.usefixtures("one_thread")
def test_with_a_teacher_too(tmp_path: Path) -> None:
    fit(recipe_of("BiReal"), tmp_path / "teacher", progress=False)
    same(recipe_of("BiReal", teacher={"checkpoint": str(tmp_path / "teacher" / "last.ckpt")}), tmp_path / "student")


def test_all_pages_show_the_same_loop() -> None:
    assert loop_of("README.md") == loop_of("docs/training.md")
