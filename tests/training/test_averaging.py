"""Averages of the weights: as defined, and what is evaluated, kept and exported."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from onebit.training import fit, load_checkpoint
from onebit.training.averaging import Averaging
from onebit.training.recipe import Recipe, parse_recipe
from tests.training.recipes import VALUES, tiny

STEPS = 12


class Recorder:
    """Keeps the state of the network after every step, before anything else is done with it."""

    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []
        self.averaged: set[str] = set()

    def note(self, module: nn.Module) -> None:
        state = {name: value.clone() for name, value in module.state_dict().items() if name.startswith("net.")}
        self.states.append(state)
        statistics = {name for name in state if name.endswith(("running_mean", "running_var"))}
        self.averaged = statistics | {name for name, _ in module.named_parameters()}


def averaged(**averaging: Any) -> Recipe:
    return tiny(averaging=averaging, trainer={"max_steps": STEPS, "validate_every": 4})


def trained(recipe: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Recorder, dict[str, Any]]:
    """What was recorded, and the result."""
    recorder, update = Recorder(), Averaging.update

    def noted(self: Averaging, module: nn.Module, step: int) -> None:
        recorder.note(module)
        update(self, module, step)

    monkeypatch.setattr(Averaging, "update", noted)
    return recorder, fit(recipe, folder, progress=False)


def test_ema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, result = trained(averaged(name="ema", decay=0.7), tmp_path, monkeypatch)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    states = recorder.states
    for name in recorder.states[0]:
        if name in recorder.averaged:
            average = states[0][name]
            for state in states[1:]:
                average = 0.7 * average + (1 - 0.7) * state[name]
            torch.testing.assert_close(kept[name], average)
            assert not torch.equal(kept[name], states[-1][name])
        else:
            assert torch.equal(kept[name], states[-1][name]), name
    assert 5 < len(recorder.averaged) < len(states[0])
    net, _ = load_checkpoint(result["checkpoint"])
    assert result["best_top1"] == accuracy(net)


def test_swa_from_half_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, result = trained(averaged(name="swa", start=0.5), tmp_path, monkeypatch)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    for name in recorder.states[0]:
        if name in recorder.averaged:
            mean = torch.stack([state[name] for state in recorder.states[STEPS // 2 :]]).mean(0)
            torch.testing.assert_close(kept["state_dict"][name], mean)
    assert torch.equal(kept["current_model_state"]["net.head.weight"], recorder.states[-1]["net.head.weight"])
    assert result["last_top1"] == accuracy(load_checkpoint(tmp_path / "last.ckpt")[0])


def test_before_its_start_the_average_is_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, result = trained(averaged(name="swa", start=0.99), tmp_path / "late", monkeypatch)
    monkeypatch.undo()
    plain = fit(tiny(trainer={"max_steps": STEPS, "validate_every": 4}), tmp_path / "plain", progress=False)
    other = {"checkpoint": "", "seconds": 0, "images_per_second": 0}
    assert {**plain, **other} == {**result, **other}
    kept = torch.load(tmp_path / "late" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(kept[name], value) for name, value in recorder.states[-1].items())


def accuracy(net: torch.nn.Module) -> float:
    from onebit.data import DataModule
    from onebit.training import evaluate

    return evaluate(net, DataModule("digits").test_dataloader(), 10)["top1"]


@pytest.mark.parametrize("key", ["decay", "start"])
def test_shares_beyond_one_are_refused(key: str) -> None:
    from onebit.errors import OnebitError

    with pytest.raises(OnebitError, match=rf"averaging\.{key} is 1\.5"):
        parse_recipe({**VALUES, "averaging": {"name": "ema", key: 1.5}}, "tiny")
