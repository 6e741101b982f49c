"""ReActNet's two steps by the recipes: a teacher, binary activations, then binary weights from where step 1 ended."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from onebit import deploy
from onebit.errors import OnebitError
from onebit.nn import binary_layers
from onebit.training import fit, load_checkpoint
from onebit.training.interruption import Stopped
from onebit.training.loop import Loop
from onebit.training.recipe import MethodConfig, Recipe, read_recipe
from onebit.training.weights import load_weights
from tests.deploy.nets import assert_same_answer

RECIPES = Path(__file__).parents[2] / "recipes"
STEPS = {"trainer.max_steps": 150, "trainer.validate_every": 75, "trainer.accelerator": "cpu"}
NARROW = {"model.options": {"width": 16}}


def recipe(name: str, **changes: Any) -> Recipe:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return read_recipe(RECIPES / f"{name}.yaml", {**STEPS, **NARROW, **dotted})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, seed: int) -> tuple[Path, dict[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("runs")
    teacher, first = str(folder / "teacher" / "best.ckpt"), str(folder / "step1" / "last.ckpt")
    results = {
        name: fit(recipe(file, seed=seed, **changes), folder / name, progress=False)
        for name, file, changes in (
            ("teacher", "digits_full_precision", {"optimizer__lr": 1e-2}),
            ("step1", "digits_reactnet_step1", {"teacher__checkpoint": teacher}),
            ("step2", "digits_reactnet_step2", {"teacher__checkpoint": teacher, "initial__checkpoint": first}),
        )
    }
    return folder, results


@pytest.mark.slow
@pytest.mark.learning
def test_each_step_learns_the_digits(
    runs: tuple[Path, dict[str, Any]], record_property: Callable[[str, object], None]
) -> None:
    for name, result in runs[1].items():
        record_property(name, result["last_top1"])
    assert all(result["last_top1"] > 0.88 for result in runs[1].values()), runs[1]


@pytest.mark.slow
def test_step_1_has_real_valued_weights_and_the_ledger_knows(runs: tuple[Path, dict[str, Any]]) -> None:
    folder, results = runs
    for _, layer in binary_layers(load_checkpoint(folder / "step1" / "last.ckpt")[0]):
        assert len(layer.quantized_weight().unique()) > 100
        assert layer.input_quantizer.precision == 1
    for _, layer in binary_layers(load_checkpoint(folder / "step2" / "last.ckpt")[0]):
        assert len(layer.quantized_weight()[0].abs().unique()) == 1
    assert results["step1"]["operations_saved_percent"] < results["step2"]["operations_saved_percent"]


@pytest.mark.slow
def test_step_2_answers_the_same_packed(runs: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    net, _ = load_checkpoint(runs[0] / "step2" / "last.ckpt")
    torch.manual_seed(0)
    assert_same_answer(net, tmp_path, torch.randn(32, *net.input_shape))


@pytest.mark.slow
def test_step_1_is_not_exported(runs: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    net, _ = load_checkpoint(runs[0] / "step1" / "last.ckpt")
    with pytest.raises(OnebitError, match="weights are not ±α"):
        deploy.export(net, tmp_path / "m.obn", torch.randn(4, *net.input_shape))


@pytest.mark.slow
def test_the_teacher_is_in_no_checkpoint_and_is_not_trained(runs: tuple[Path, dict[str, Any]]) -> None:
    folder = runs[0]
    state = torch.load(folder / "step1" / "last.ckpt", weights_only=True)
    plain = torch.load(folder / "teacher" / "last.ckpt", weights_only=True)
    weights = [key for key in state["state_dict"] if key.startswith("net.")]
    assert len(weights) == len([key for key in plain["state_dict"] if key.startswith("net.")])
    assert state["onebit"]["recipe"]["teacher"]["checkpoint"].endswith("best.ckpt")


@pytest.mark.slow
def test_step_2_begins_where_step_1_ended(runs: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder = runs[0]
    changes = {
        "teacher__checkpoint": str(folder / "teacher" / "best.ckpt"),
        "initial__checkpoint": str(folder / "step1" / "last.ckpt"),
        "optimizer__lr": 1e-9,
        "trainer__max_steps": 1,
    }
    fit(recipe("digits_reactnet_step2", **changes), tmp_path, progress=False)
    before, after = (load_checkpoint(path)[0] for path in (folder / "step1" / "last.ckpt", tmp_path / "last.ckpt"))
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(new, old, rtol=0, atol=1e-7, msg=name)


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_same_weights(
    runs: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = runs[0]
    initial = tmp_path / "initial.ckpt"
    initial.write_bytes((folder / "step1" / "last.ckpt").read_bytes())
    changes = {"teacher__checkpoint": str(folder / "teacher" / "best.ckpt"), "initial__checkpoint": str(initial)}
    settings = recipe("digits_reactnet_step2", trainer__max_steps=20, trainer__validate_every=10, **changes)
    fit(settings, tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_agree", lambda self, interruption: (self.step == 13, False, False))
        with pytest.raises(Stopped):
            fit(settings, tmp_path / "broken", progress=False)
    initial.unlink()  # no longer needed
    fit(settings, tmp_path / "broken", resume=tmp_path / "broken" / "last.ckpt", progress=False)
    whole, broken = (load_checkpoint(tmp_path / name / "last.ckpt")[0].state_dict() for name in ("whole", "broken"))
    assert all(torch.equal(value, broken[key]) for key, value in whole.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher__checkpoint": "nowhere.ckpt"}, "nowhere.ckpt: no such checkpoint"),
        ({"initial__checkpoint": "nowhere.ckpt"}, "nowhere.ckpt: no such checkpoint"),
        ({"model__options": {"width": 8}}, r"does not fit the network: other shapes: stem.0.weight .*and \d+ more"),
        ({"initial__new": ["*.alpha"]}, r"initial.new: no weight of the network is named \*.alpha"),
        ({"data__classes": ["0", "1"]}, "was trained with other classes: 0, 1, 2"),
    ],
)
def test_what_does_not_fit_is_said_and_leaves_nothing(
    runs: tuple[Path, dict[str, Any]], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    files = {
        "teacher__checkpoint": str(runs[0] / "teacher" / "best.ckpt"),
        "initial__checkpoint": str(runs[0] / "step1" / "last.ckpt"),
    }
    if "data__classes" in changes:
        files["initial__new"] = []
        changes = {**changes, "initial": None}
    with pytest.raises(OnebitError, match=message):
        fit(recipe("digits_reactnet_step2", **{**files, **changes}), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_state_dict_teaches_too(runs: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    net, _ = load_checkpoint(runs[0] / "teacher" / "best.ckpt")
    names = {f"module.{name}".replace("head.", "fc."): value for name, value in net.state_dict().items()}
    torch.save({"state_dict": names, "epoch": 3}, tmp_path / "hub.pth")
    options = {"width": 16, "full_precision": True}
    teacher = {"checkpoint": str(tmp_path / "hub.pth"), "model": "small", "options": options}
    settings = recipe("digits_reactnet_step1", teacher=teacher, trainer__max_steps=2)
    assert fit(settings, tmp_path / "out", progress=False)["steps"] == 2


def test_a_twin_with_thresholds_starts_from_one_without(tmp_path: Path) -> None:
    from onebit import models

    twin = models.create("reactnet18", input_size=32, full_precision=True)
    net = models.create("reactnet18", input_size=32)
    torch.save(twin.state_dict(), tmp_path / "twin.pth")
    with pytest.raises(OnebitError, match=r"it lacks stages.0.0.conv.input_quantizer.alpha, .* and 10 more"):
        load_weights(net, tmp_path / "twin.pth")
    load_weights(net, tmp_path / "twin.pth", new=["*.input_quantizer.alpha"])
    assert torch.equal(net.stages[0][0].conv.weight, twin.stages[0][0].conv.weight)


@pytest.mark.slow
def test_step_2_can_be_another_methods(runs: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """RBONN's scales start from the weights of step 1, since it is attached after they are loaded."""
    folder = runs[0]
    changes = {
        "teacher__checkpoint": str(folder / "teacher" / "best.ckpt"),
        "initial__checkpoint": str(folder / "step1" / "last.ckpt"),
        "optimizer__lr": 1e-9,
        "trainer__max_steps": 1,
    }
    rbonn = MethodConfig("onebit.methods.RBONN", {"variant": "paper", "tau": 1.0})
    fit(dataclasses.replace(recipe("digits_reactnet_step2", **changes), method=rbonn), tmp_path, progress=False)
    weights = load_checkpoint(folder / "step1" / "last.ckpt")[0].blocks[0].conv.weight
    scale = load_checkpoint(tmp_path / "last.ckpt")[0].blocks[0].conv.weight_quantizer.a
    torch.testing.assert_close(scale, 1 / weights.abs().mean((1, 2, 3)), rtol=1e-4, atol=1e-4)
