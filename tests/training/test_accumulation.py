"""Gradients over several batches make one step."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from onebit.data import DataModule
from onebit.methods import CycleBNN
from onebit.training import Classifier, fit
from onebit.training.fabric import make_fabric
from onebit.training.folder import RunFolder
from onebit.training.history import History
from onebit.training.interruption import Interruption
from onebit.training.loop import Loop
from onebit.training.progress import NoProgress
from onebit.training.recipe import OptimizerConfig, ScheduleConfig
from tests.training.recipes import tiny


def linear(folder: Path, batch_size: int, accumulate: int) -> torch.Tensor:
    """The weights of a dense layer after three steps."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    sgd = OptimizerConfig("sgd", lr=0.1, momentum=0.9)
    classifier = Classifier(net, 10, None, sgd, ScheduleConfig("linear"), steps=3)
    recipe = tiny(
        data={"batch_size": batch_size}, optimizer={"accumulate": accumulate}, trainer={"max_steps": 3}, method=None
    )
    fabric, run = make_fabric(recipe.trainer, folder), RunFolder(folder)
    fabric.launch()
    data, history = DataModule("digits", batch_size=batch_size), History(3, steps_per_epoch=9.0, rule=None)
    loop = Loop(fabric, classifier, data, recipe, history, run, info={})
    run.prepare(recipe, None)
    loop.run(Interruption(), NoProgress())
    run.lock.release()
    assert loop.step == 3
    return net[1].weight.detach()


def test_two_halves_step_as_the_whole(tmp_path: Path) -> None:
    whole, halves = linear(tmp_path / "1", 64, 1), linear(tmp_path / "2", 32, 2)
    torch.testing.assert_close(halves, whole)
    assert not torch.allclose(linear(tmp_path / "3", 32, 1), whole)


def test_a_run_counts_steps_and_the_method_sees_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    step = CycleBNN.step

    def note(self: CycleBNN, t: int, total: int) -> None:
        seen.append((t, total))
        step(self, t, total)

    monkeypatch.setattr(CycleBNN, "step", note)
    recipe = tiny(optimizer={"accumulate": 3}, trainer={"max_steps": 8, "validate_every": 4})
    result: dict[str, Any] = fit(recipe, tmp_path, progress=False)
    assert seen == [(t, 8) for t in range(8)], "once a step"
    assert (result["steps"], result["epochs"]) == (8, 2.0)  # 12 batches an epoch
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["onebit"]["step"] == 8
    history = next(value for key, value in checkpoint["callbacks"].items() if "History" in key)
    assert [point["step"] for point in history["curve"]] == list(range(1, 9))
    assert [moment["step"] for moment in history["validations"]] == [4, 8]
    assert 1 < history["curve"][0]["loss"] < 5, "the mean over the batches, not their sum"
