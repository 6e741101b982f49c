"""What RBONN returns to survives all that training does between two iterations."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from onebit.methods import RBONN, apply
from onebit.nn import BinaryConv2d
from onebit.training import fit
from onebit.training.interruption import Stopped
from tests.training.recipes import tiny
from tests.training.test_resume import assert_same, stop_at, trained

VARIANTS = ["released", "paper"]


def make_net() -> nn.Sequential:
    """Without BatchNorm, so that half a batch twice is a batch."""
    torch.manual_seed(0)
    return nn.Sequential(BinaryConv2d(2, 6, 3), BinaryConv2d(6, 5, 3), nn.Flatten(), nn.Linear(20, 3))


def batch(size: int = 8) -> Tensor:
    return torch.randn(size, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def iterate(net: nn.Module, method: RBONN, x: Tensor, before_forward: bool = False, times: int = 3) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    for t in range(times):
        method.step(t, times)
        if before_forward:
            optimizer.zero_grad()
        method.loss(net(x).square().mean()).backward()
        method.before_update()
        optimizer.step()
        if not before_forward:
            optimizer.zero_grad(set_to_none=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_clearing_the_gradient_before_the_forward_pass_changes_nothing(variant: Any) -> None:
    nets = []
    for before_forward in (False, True):
        net, method = make_net(), RBONN(variant, tau=0.5, u_lr_factor=1.0)
        method.attach(net)
        torch.manual_seed(2)
        iterate(net, method, batch(), before_forward)
        nets.append(net)
    assert_same(*(net.state_dict() for net in nets))
    assert nets[0][0].weight_quantizer.u.unique().numel() > 1  # the recurrence was at work


class Module(pl.LightningModule):
    """Notes what the layers return to in each forward pass."""

    def __init__(self, net: nn.Sequential, method: RBONN) -> None:
        super().__init__()
        self.net, self.method = net, method
        self.seen: list[Tensor] = []

    def training_step(self, images: list[Tensor], _: int) -> Tensor:
        self.seen.append(self.net[0].weight_quantizer.previous.clone())
        return self.method.loss(self.net(images[0]).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.net.parameters(), lr=0.01)


def train(folder: Path, variant: Any, **options: Any) -> Module:
    net, method = make_net(), RBONN(variant, tau=0.5, u_lr_factor=1.0)
    callbacks = apply(method, net)
    torch.manual_seed(2)
    module = Module(net, method)
    trainer = pl.Trainer(
        max_epochs=1,
        callbacks=callbacks,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )
    trainer.fit(module, DataLoader(TensorDataset(batch(32)), batch_size=4))
    return module


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_recurrence_an_accumulated_gradient(variant: Any, tmp_path: Path) -> None:
    module = train(tmp_path, variant, accumulate_grad_batches=4)
    seen = module.seen
    assert len(seen) == 8
    assert not seen[0].any()
    assert all(torch.equal(seen[i], seen[i - i % 4]) for i in range(8))
    net, method = make_net(), RBONN(variant, tau=0.5, u_lr_factor=1.0)
    method.attach(net)
    torch.manual_seed(2)
    iterate(net, method, batch(32)[:16], times=1)
    torch.testing.assert_close(seen[4], net[0].weight_quantizer.previous)  # of all four batches as one
    assert seen[4].any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_bfloat16_keeps_float32(variant: Any, tmp_path: Path) -> None:
    single, mixed = (train(tmp_path, variant, precision=p).net[0] for p in ("32-true", "bf16-mixed"))
    one, other = single.weight_quantizer.previous, mixed.weight_quantizer.previous
    assert other.dtype == torch.float32
    assert torch.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.98
    assert not torch.equal(one, other)


def scaled_iteration(net: nn.Module, method: RBONN, scale: float, weight: float = 1.0) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    method.step(0, 1)
    scaler.scale(weight * method.loss(net(batch()).square().mean())).backward()
    scaler.unscale_(optimizer)
    method.before_update()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()


def test_a_gradient_scaler_leaves_no_trace() -> None:
    kept = []
    for scale in (1.0, 2.0**14):
        net, method = make_net(), RBONN(tau=0.5, bilinear_weight=0.1, u_lr_factor=1.0)
        torch.manual_seed(2)
        method.attach(net)
        scaled_iteration(net, method, scale)
        kept.append(net[0].weight_quantizer.previous.clone())
    torch.testing.assert_close(*kept)
    assert kept[0].any()
    weight = net[0].weight.clone()
    scaled_iteration(net, method, 2.0**14, weight=1e36)  # overflows: the scaler skips the update
    assert torch.equal(net[0].weight, weight)
    assert torch.equal(net[0].weight_quantizer.previous, kept[1])


RELEASED, PAPER = (
    {"class_path": "onebit.methods.RBONN", "init_args": {"variant": variant, "tau": 0.5}} for variant in VARIANTS
)
CYCLEBNN = {"class_path": "onebit.methods.CycleBNN", "init_args": {"cycles": 2}}
COMPOSED = {"class_path": "onebit.methods.Compose", "init_args": {"methods": [CYCLEBNN, RELEASED]}}


@pytest.mark.slow
@pytest.mark.parametrize("method", [RELEASED, PAPER, COMPOSED], ids=[*VARIANTS, "cyclebnn"])
def test_a_resumed_run_ends_with_the_same_bits(
    method: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(method=method)
    whole = trained(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 13)
        with pytest.raises(Stopped, match="stopped at step 13 of 30"):
            fit(recipe, tmp_path / "broken", progress=False)
    last = tmp_path / "broken" / "last.ckpt"
    assert torch.load(last, weights_only=True)["state_dict"]["net.blocks.0.conv.weight_quantizer.previous"].any()
    resumed = trained(recipe, tmp_path / "broken", resume=last)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks"):
        assert_same(whole[part], resumed[part], part)


SCRIPT = """
import sys, torch
from torch.nn.parallel import DistributedDataParallel
from onebit.methods import RBONN
from tests.methods.test_rbonn_buffer import batch, iterate, make_net
folder, rank, variant = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
net, method = make_net().double(), RBONN(variant, tau=0.5, u_lr_factor=1.0)
torch.manual_seed(2)
method.attach(net)
iterate(DistributedDataParallel(net), method, batch().double()[4 * rank : 4 * rank + 4])
torch.save(net.state_dict(), f"{folder}/rank{rank}.pt")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_train_as_one(variant: Any, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    start: Callable[[int], Any] = lambda rank: subprocess.Popen(  # noqa: E731
        [sys.executable, str(script), str(tmp_path), str(rank), variant], env=environment, stderr=subprocess.PIPE
    )
    for process in [start(rank) for rank in range(2)]:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors.decode()
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2))
    assert_same(first, second)
    net, method = make_net().double(), RBONN(variant, tau=0.5, u_lr_factor=1.0)
    torch.manual_seed(2)
    method.attach(net)
    iterate(net, method, batch().double())
    for name, value in net.state_dict().items():
        torch.testing.assert_close(first[name], value)
    assert first["0.weight_quantizer.previous"].any()
    assert first["0.weight_quantizer.u"].unique().numel() > 1
