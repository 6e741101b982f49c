"""Two processes on one CPU flip the same bits, taught by the same teacher (DDP over gloo)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from onebit.training import fit
from tests.training.recipes import tiny

SCRIPT = """
import sys, torch
from onebit.training import fit
from onebit.training.loop import Loop
from tests.training.recipes import tiny

run = Loop.run

def keeps_weights(self, *rest):
    run(self, *rest)
    torch.save(self.classifier.net.state_dict(), f"{sys.argv[1]}/rank{self.fabric.global_rank}.pt")

Loop.run = keeps_weights
bop = {"class_path": "onebit.methods.Bop", "init_args": {"gamma": [0.1, 0.001], "threshold": 1e-5}}
recipe = tiny(
    method=bop, teacher={"checkpoint": sys.argv[3]}, trainer={"devices": 2, "max_steps": 20}, data={"batch_size": 64}
)
fit(recipe, sys.argv[2], progress=False)
"""


@pytest.mark.slow
def test_both_processes_end_with_the_same_bits(tmp_path: Path) -> None:
    twin = tiny(model={"options": {"width": 8, "full_precision": True}}, method=None, trainer={"max_steps": 10})
    fit(twin, tmp_path / "teacher", progress=False)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    words = list(map(str, (sys.executable, script, tmp_path, tmp_path / "out", tmp_path / "teacher" / "last.ckpt")))
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    parameters = [name for name in first if "running" not in name and "tracked" not in name]
    assert all(torch.equal(first[name], second[name]) for name in parameters)
    assert first["blocks.0.conv.weight"].unique().tolist() == [-1.0, 1.0]
