"""Training killed with -9 in the middle of an epoch goes on at the same image, and ends with the same bits."""

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from onebit.training import fit
from onebit.training.recipe import read_recipe
from tests.cli.test_train import start
from tests.jpegs import shards, tree

EPOCH, STEPS = 18, 54
RECIPE: dict[str, Any] = {
    "model": {"name": "small", "options": {"width": 8, "in_shape": [3, 16, 16]}},
    "method": {"class_path": "onebit.methods.CycleBNN", "init_args": {"bits": [2, 6], "gradient_bits": 8, "cycles": 2}},
    "data": {"batch_size": 2, "augment": "cyclebnn"},
    "optimizer": {"lr": 0.01},
    "trainer": {
        "max_steps": STEPS,
        "validate_every": STEPS,
        "checkpoint_seconds": 0,
        "threads": 1,
        "accelerator": "cpu",
    },
}
EMA = {"averaging": {"name": "ema", "decay": 0.9}}
HALVES = {"optimizer": {"lr": 0.01, "accumulate": 2}}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    return {"imagenet": tree(folder / "tree"), "imagenet_shards": shards(folder / "shards")}


def step_of(checkpoint: Path) -> int:
    return torch.load(checkpoint, weights_only=True)["onebit"]["step"] if checkpoint.exists() else 0


def kill(recipe: Path, out: Path, epoch: int) -> int:
    """Kills a training after its first epoch, and returns the step of the checkpoint that is left."""
    process = start([recipe, "--output", out])
    deadline = time.monotonic() + 240
    while step_of(out / "last.ckpt") <= epoch:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    return step_of(out / "last.ckpt")


@pytest.mark.parametrize(
    ("name", "num_workers", "sections"),
    [
        ("imagenet", 2, EMA),
        ("imagenet", 0, {}),
        ("imagenet_shards", 0, EMA),
        ("imagenet_shards", 2, HALVES),
    ],
)
def test_the_same_bits(
    name: str, num_workers: int, sections: dict[str, Any], places: dict[str, Path], tmp_path: Path
) -> None:
    values = {**RECIPE, **sections}
    options = {"name": name, "options": {"path": str(places[name]), "size": 16}, "num_workers": num_workers}
    values["data"] = {**values["data"], **options}
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(values))
    epoch = EPOCH // values["optimizer"].get("accumulate", 1)
    step = kill(file, tmp_path / "broken", epoch)
    if step % epoch == 0:  # a busy machine: it should be in the middle of an epoch
        shutil.rmtree(tmp_path / "broken")
        step = kill(file, tmp_path / "broken", epoch)
    assert epoch < step < STEPS
    assert step % epoch
    recipe = read_recipe(file)
    last = tmp_path / "broken" / "last.ckpt"
    resumed = fit(recipe, tmp_path / "broken", resume=last, progress=False)
    whole = fit(read_recipe(file, {"data.num_workers": 0}), tmp_path / "whole", progress=False)
    assert (resumed["steps"], resumed["last_top1"]) == (whole["steps"], whole["last_top1"])
    ends = [torch.load(tmp_path / run / "last.ckpt", weights_only=True) for run in ("whole", "broken")]
    for part in ("state_dict", "current_model_state"):
        one, other = (end.get(part, {}) for end in ends)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), part
    assert ("current_model_state" in ends[0]) == ("averaging" in sections)


def test_two_trainings_of_one_folder(places: dict[str, Path], tmp_path: Path) -> None:
    values = {**RECIPE, "trainer": {**RECIPE["trainer"], "max_steps": 100_000, "validate_every": 100_000}}
    values["data"] = {**values["data"], "name": "imagenet", "options": {"path": str(places["imagenet"]), "size": 16}}
    file, out = tmp_path / "recipe.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(values))
    both = [start([file, "--output", out, "--force"]) for _ in range(2)]
    deadline = time.monotonic() + 240
    while all(process.poll() is None for process in both):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    refused = next(process for process in both if process.poll() is not None)
    running = both[1 - both.index(refused)]
    assert refused.returncode == 2
    line = refused.communicate()[1].strip()
    assert line.startswith(f"onebit train: {out}: a training runs here already, process {running.pid} on ")
    assert "\n" not in line
    running.kill()
    running.communicate()
    short = [file, "--output", out, "--force", "--trainer.max_steps", "2"]
    freed = start(short)
    assert freed.wait(240) == 0, freed.communicate()
    freed.communicate()
