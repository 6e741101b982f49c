"""Runs whose blocks are trained by the engine, on one process and on two."""

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from onebit.nn import use_native
from onebit.training import fit
from onebit.training.interruption import Stopped
from tests.nn.blocks import made
from tests.training.recipes import tiny
from tests.training.test_resume import assert_same, stop_at, trained

BIREAL = {"class_path": "onebit.methods.BiReal", "init_args": {}}
METHODS = {"CycleBNN": {}, "BiReal": BIREAL, "plain": None}

SCRIPT = """
import sys, torch
from torch import distributed, nn
from tests.training.test_fused import BATCH, DRAWS, backward, block

folder, rank, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
distributed.init_process_group("gloo", init_method=f"file://{folder}/{kind}", rank=rank, world_size=2)
half = slice(BATCH // 2 * rank, BATCH // 2 * (rank + 1))
net = block(joint=kind == "joint")
if kind == "joint":  # which PyTorch's DDP leaves to GPUs
    draws = [backward(net, net, half, seed=2 * index + rank) for index in range(DRAWS)]
    for found in draws:
        for gradient in found.values():
            distributed.all_reduce(gradient)
            gradient /= 2
else:
    draws = [backward(net, nn.parallel.DistributedDataParallel(net), half, seed=rank)]
torch.save({"draws": draws, "buffers": dict(net.named_buffers())}, f"{folder}/{kind}-{rank}.pt")
"""
BATCH, DRAWS = 8, 60


def block(joint: bool = False) -> nn.Module:
    net = made("imagenet", "bireal")
    if joint:
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert len(use_native(net, 1, "portable", "float32").fused) == 2
    return net


def backward(net: nn.Module, model: nn.Module, part: slice, seed: int) -> dict[str, torch.Tensor]:
    """The gradients of a mean over some samples."""
    x, target = torch.randn(2, BATCH, 8, 6, 6, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(seed)
    net.zero_grad()
    (model(x[part]) - target[part]).square().mean().backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def run(folder: Path, kind: str) -> list[dict[str, Any]]:
    """What each of two processes found."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    words = [[sys.executable, script, folder, str(rank), kind] for rank in (0, 1)]
    jobs = [subprocess.Popen(each, env=environment, stderr=subprocess.PIPE, text=True) for each in words]
    for job in jobs:
        _, problem = job.communicate(timeout=240)
        assert job.returncode == 0, problem
    return [torch.load(folder / f"{kind}-{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_average_their_gradients(tmp_path: Path) -> None:
    found = run(tmp_path, "apart")
    halves = []
    for rank in (0, 1):
        net = block()
        halves.append(backward(net, net, slice(BATCH // 2 * rank, BATCH // 2 * (rank + 1)), seed=rank))
    for name, gradient in found[0]["draws"][0].items():
        assert torch.equal(gradient, found[1]["draws"][0][name]), name
        torch.testing.assert_close(gradient, (halves[0][name] + halves[1][name]) / 2, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_two_processes_with_joint_statistics_are_as_one(tmp_path: Path) -> None:
    first, second = run(tmp_path, "joint")
    net = block()
    alone = [backward(net, net, slice(BATCH), seed) for seed in range(DRAWS)]
    for name, buffer in net.named_buffers():
        assert torch.equal(first["buffers"][name], second["buffers"][name]), name
        torch.testing.assert_close(first["buffers"][name], buffer, rtol=1e-5, atol=1e-6)
    for name in alone[0]:
        one, joint = (torch.stack([draw[name].double() for draw in draws]) for draws in (alone, first["draws"]))
        spread = ((one.var(0) + joint.var(0)) / DRAWS).sqrt()
        error = (one.mean(0) - joint.mean(0)).abs()
        assert bool((error <= 6 * spread + 1e-5 * one.mean(0).abs().max()).all()), name


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_learns_the_digits_as_pytorch_does(method: str, tmp_path: Path) -> None:
    accuracies: dict[str, list[float]] = {}
    for backend in ("torch", "native"):
        for seed in (0, 1):
            recipe = tiny(
                model={"options": {"width": 16}},
                method=METHODS[method],
                trainer={"backend": backend, "max_steps": 240, "validate_every": 240},
                seed=seed,
            )
            result = fit(recipe, tmp_path / f"{backend}-{seed}", progress=False)
            accuracies.setdefault(backend, []).append(result["last_top1"])
    # a choice, well above chance: the spread over seeds is not recorded yet
    assert statistics.mean(accuracies["native"]) >= statistics.mean(accuracies["torch"]) - 0.06, accuracies
    assert min(accuracies["native"]) >= 0.88, accuracies


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_goes_on_from_a_checkpoint(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny(trainer={"backend": "native"}, method=METHODS[method])
    whole = trained(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(Stopped):
            fit(recipe, tmp_path / "cut", progress=False)
    assert_same(trained(recipe, tmp_path / "rest", tmp_path / "cut" / "last.ckpt"), whole)
