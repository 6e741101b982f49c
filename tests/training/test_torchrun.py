"""Two processes started by torchrun (DDP over gloo) train on images: who sees what, and who counts it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.jpegs import tree

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys, torch
from onebit.data.image_file_loader import ImageFileLoader
from onebit.training import Classifier, fit, read_recipe
from onebit.training.folder import is_first_process
from onebit.training.loop import Loop

kept, out, recipe, poisoned = sys.argv[1:]
seen = {"train": [], "test": []}
read = ImageFileLoader._read

def note(self, number, draws):
    seen["train" if self.training else "test"].append(number)
    return read(self, number, draws)

run, step = Loop.run, Classifier.training_step

def keeps(self, *rest):
    self.classifier.loop = self
    run(self, *rest)
    rank = self.fabric.global_rank
    seen["first"], seen["rank"] = is_first_process(), rank
    torch.save(self.classifier.net.state_dict(), f"{kept}/rank{rank}.pt")
    with open(f"{kept}/rank{rank}.json", "w") as file:
        json.dump(seen, file)

def poison(self, batch, batch_idx):
    if poisoned == "1" and self.loop.step == 2 and self.loop.fabric.global_rank == 1:
        batch = batch[0] / 0, batch[1]
    return step(self, batch, batch_idx)

ImageFileLoader._read, Loop.run, Classifier.training_step = note, keeps, poison
result = fit(read_recipe(recipe), out, progress=False)
if is_first_process():
    with open(f"{kept}/result.json", "w") as file:
        json.dump(result, file)
"""

RECIPE = """
model: {name: small, options: {width: 8, in_shape: [3, 16, 16]}}
data:
  {name: imagenet, options: {path: PLACE, size: 16, on_corrupt: skip}, batch_size: 3, augment: cyclebnn, num_workers: 1}
optimizer: {lr: 0.01, accumulate: 2}
trainer: {max_steps: 6, validate_every: 6, threads: 1, accelerator: cpu, devices: 2}
averaging: {name: ema, decay: 0.5}
"""


def launch(processes: int, *words: Any) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), str(root / "src")])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes]
    return subprocess.run(
        list(map(str, [*torchrun, *words])),
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("torchrun")
    place = tree(folder / "tree", train=36, val=15)  # 3 and 2 batches to validate
    broken = sorted(place.glob("train/*/*.JPEG"))[7]
    broken.write_bytes(b"")
    (folder / "script.py").write_text(SCRIPT)
    (folder / "recipe.yaml").write_text(RECIPE.replace("PLACE", str(place)))
    done = launch(2, folder / "script.py", folder, folder / "out", folder / "recipe.yaml", 0)
    assert done.returncode == 0, done.stderr
    return {
        "folder": folder,
        "broken": str(broken),
        "seen": [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)],
        "weights": [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)],
        "result": json.loads((folder / "result.json").read_text()),
    }


def test_every_image_of_an_epoch_is_seen_once(run: dict[str, Any]) -> None:
    first, second = (seen["train"][:18] for seen in run["seen"])  # an epoch has 6 batches of 3 on each
    assert sorted(first + second) == list(range(36))


def test_every_test_image_is_counted_once(run: dict[str, Any]) -> None:
    first, second = (seen["test"] for seen in run["seen"])
    assert (len(first), len(second)) == (8, 7)
    assert sorted(first + second) == list(range(15))
    assert run["result"]["last_top1"] * 15 == pytest.approx(round(run["result"]["last_top1"] * 15), abs=1e-4)


def test_the_accuracy_is_that_of_the_checkpoint(run: dict[str, Any]) -> None:
    from onebit.data import DataModule
    from onebit.training import evaluate, load_checkpoint

    net, info = load_checkpoint(run["folder"] / "out" / "last.ckpt")
    found = evaluate(net, DataModule(info["data"]["name"], info["data"]["options"]).test_dataloader(), 3)
    assert found["images"] == 15
    assert found["top1"] == pytest.approx(run["result"]["last_top1"], abs=1e-6)


def test_the_weights_are_the_same_and_each_process_has_statistics_of_its_own(run: dict[str, Any]) -> None:
    first, second = run["weights"]
    differ = {name for name in first if not torch.equal(first[name], second[name])}
    assert {name.rpartition(".")[2] for name in differ} <= {"running_mean", "running_var"}


def test_the_first_process_owns_the_files(run: dict[str, Any]) -> None:
    assert [(seen["first"], seen["rank"]) for seen in run["seen"]] == [(True, 0), (False, 1)]


def test_damaged_images_of_all_processes_are_named_once(run: dict[str, Any]) -> None:
    assert list(run["result"]["skipped"]) == [run["broken"]]


def test_numbers_that_end_on_one_process_stop_all(run: dict[str, Any], tmp_path: Path) -> None:
    folder = run["folder"]
    done = launch(2, folder / "script.py", tmp_path, tmp_path / "out", folder / "recipe.yaml", 1)
    assert done.returncode != 0
    line = "the loss of step 2 is not a finite number; first seen in the output of net.stem.0"
    assert f"Stopped: {line}" in done.stderr, done.stderr
    assert not (tmp_path / "result.json").exists()


def test_torchrun_with_another_number_of_processes_is_one_line(run: dict[str, Any], tmp_path: Path) -> None:
    done = launch(1, "-m", "onebit", "train", run["folder"] / "recipe.yaml", "--output", tmp_path / "out")
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("onebit train:")]
    assert "devices" in line
    assert "world size" in line
