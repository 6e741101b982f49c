"""Two processes on one CPU train one network (DDP over gloo)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = """
import contextlib, sys, torch
from onebit.training import fit
from onebit.training.interruption import Stopped
from onebit.training.loop import Loop
from tests.training.recipes import tiny

run = Loop.run

def keeps_weights(self, *rest):
    run(self, *rest)
    torch.save(dict(self.classifier.net.named_parameters()), f"{sys.argv[1]}/rank{self.fabric.global_rank}.pt")

Loop.run = keeps_weights
folder, stop, resume = sys.argv[2], int(sys.argv[3]), sys.argv[4] or None
if stop:
    Loop._agree = lambda self, interruption: (self.step == stop, False, False)
with contextlib.suppress(Stopped):
    fit(tiny(trainer={"devices": 2}, data={"batch_size": 64}), folder, resume=resume, progress=False)
"""


def run(kept: Path, out: Path, stop: int = 0, resume: Path | str = "") -> None:
    """Trains in two processes, which leave their weights in ``kept`` unless they ``stop`` at a step."""
    script = kept / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    words = list(map(str, (sys.executable, script, kept, out, stop, resume)))
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def weights(kept: Path) -> dict[str, torch.Tensor]:
    """Those of the first process, once they are known to be those of the second."""
    first, second = (torch.load(kept / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    return first


@pytest.mark.slow
def test_both_processes_end_with_the_same_weights_and_resume(tmp_path: Path) -> None:
    run(tmp_path, tmp_path / "whole")
    whole = weights(tmp_path)
    checkpoint = torch.load(tmp_path / "whole" / "last.ckpt", weights_only=True)
    assert all(torch.equal(whole[name], checkpoint["state_dict"][f"net.{name}"]) for name in whole)
    images = 2 * 719 + 6 * 64  # of each process: its half of 1437 digits twice, then half of an epoch
    assert checkpoint["callbacks"]["History"]["images"] == 2 * images
    one, other = (stream["torch"] for stream in checkpoint["random_streams"])
    assert not torch.equal(one, other)  # each rounds its gradients with noise of its own

    run(tmp_path, tmp_path / "broken", stop=13)
    last = tmp_path / "broken" / "last.ckpt"
    assert torch.load(last, weights_only=True)["onebit"]["step"] == 13
    run(tmp_path, tmp_path / "broken", resume=last)
    resumed = weights(tmp_path)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
