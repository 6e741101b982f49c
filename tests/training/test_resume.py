"""A run that is stopped and resumed ends with the bits of an unbroken run."""

from pathlib import Path
from typing import Any

import pytest
import torch

from onebit.errors import OnebitError
from onebit.training import fit
from onebit.training.interruption import Stopped
from onebit.training.loop import Loop
from onebit.training.recipe import Recipe
from tests.training.recipes import tiny


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Lets the runs of this test believe that the user pressed Ctrl-C in a step."""

    def agree(self: Loop, interruption: Any) -> tuple[bool, bool, bool]:
        return self.step == step, False, False

    monkeypatch.setattr(Loop, "_agree", agree)


def trained(recipe: Recipe, folder: Path, resume: Path | None = None) -> dict[str, Any]:
    fit(recipe, folder, resume=resume, progress=False)
    return torch.load(folder / "last.ckpt", weights_only=True)


def assert_same(left: Any, right: Any, where: str = "") -> None:
    """Equal bit for bit, but for times."""
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left.keys() - {"seconds", "training_seconds"}:
            assert_same(left[key], right[key], f"{where}.{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), where
        for index, pair in enumerate(zip(left, right, strict=True)):
            assert_same(*pair, f"{where}[{index}]")
    else:
        assert left == right, where


# 12 steps an epoch, validation after steps 10, 20, 30: mid-epoch, at a validation, at the end of an epoch
@pytest.mark.parametrize("step", [7, *(pytest.param(step, marks=pytest.mark.slow) for step in (10, 12, 24))])
def test_same_bits_as_an_unbroken_run(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny(data={"augment": "flip_crop"})
    whole = trained(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Stopped, match=f"stopped at step {step} of 30"):
            fit(recipe, tmp_path / "broken", progress=False)
    last = tmp_path / "broken" / "last.ckpt"
    resumed = trained(recipe, tmp_path / "broken", resume=last)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "random_streams", "callbacks", "onebit"):
        assert_same(whole[part], resumed[part], part)
    best = [torch.load(tmp_path / name / "best.ckpt", weights_only=True) for name in ("whole", "broken")]
    assert_same(best[0]["state_dict"], best[1]["state_dict"])


def test_training_draws_random_numbers(tmp_path: Path) -> None:
    """Else the test above could pass without any randomness to restore."""
    short = [trained(tiny(trainer={"max_steps": steps}), tmp_path / str(steps)) for steps in (2, 3)]
    first, second = (run["random_streams"][0]["torch"] for run in short)
    assert not torch.equal(first, second)


@pytest.mark.slow
def test_goes_on_in_another_folder_from_the_best_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny()
    whole = trained(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 13)
        with pytest.raises(Stopped):
            fit(recipe, tmp_path / "broken", progress=False)
    again = trained(recipe, tmp_path / "again", resume=tmp_path / "broken" / "best.ckpt")
    assert_same(whole["state_dict"], again["state_dict"])
    assert (tmp_path / "again" / "best.ckpt").exists()


def test_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    recipe = tiny(trainer={"max_steps": 2})
    trained(recipe, tmp_path / "run")
    with pytest.raises(OnebitError, match="is at step 2 of 2"):
        fit(recipe, tmp_path / "run", resume=tmp_path / "run" / "last.ckpt", progress=False)
    longer = tiny(trainer={"max_steps": 4})
    assert fit(longer, tmp_path / "run", resume=tmp_path / "run" / "last.ckpt", progress=False)["steps"] == 4


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    trained(tiny(trainer={"max_steps": 2}), tmp_path / "run")
    with pytest.raises(OnebitError, match="was trained with optimizer"):
        fit(tiny(optimizer={"lr": 0.5}), tmp_path / "run", resume=tmp_path / "run" / "last.ckpt", progress=False)


def test_epochs_that_were_divided_otherwise_are_refused(tmp_path: Path) -> None:
    """As with another number of processes: some images of the epoch would come twice, others never."""
    trained(tiny(trainer={"max_steps": 2}), tmp_path / "run")
    last = tmp_path / "run" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content["Stream"]["epoch"] = 6
    torch.save(content, last)
    with pytest.raises(OnebitError, match="epochs of 6 batches per process, now they have 12"):
        fit(tiny(trainer={"max_steps": 4}), tmp_path / "run", resume=last, progress=False)
