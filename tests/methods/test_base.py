"""The method inside a Lightning loop."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from onebit.cost import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods import Bop, BopOptimizer, Method, apply


class Recorder(Method):
    """Notes what it is told; its state is what it was told last."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []
        self.state: dict[str, Any] = {}
        self.gradients: list[Tensor] = []

    def attach(self, net: nn.Module) -> None:
        self.net = net

    def step(self, t: int, total: int) -> None:
        self.calls.append((t, total))

    def before_update(self) -> None:
        self.gradients.append(self.net.weight.grad.clone())

    def cost_rule(self) -> CostRule:
        return CostRule((Widths(),))

    def state_dict(self) -> dict[str, Any]:
        return {"last": list(self.calls[-1])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


class Module(pl.LightningModule):
    def __init__(self, net: nn.Module, method: Recorder) -> None:
        super().__init__()
        self.net, self.method = net, method
        self.calls_before_forward: list[int] = []

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        self.calls_before_forward.append(len(self.method.calls))
        return self.method.loss(self.net(batch[0]).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.net.parameters(), lr=0.01)


def train(folder: Path, epochs: int, accumulate: int = 1, resume: Path | None = None) -> tuple[Module, pl.Trainer]:
    torch.manual_seed(0)
    net, method = nn.Linear(2, 1), Recorder()
    module = Module(net, method)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accumulate_grad_batches=accumulate,
        callbacks=apply(method, net),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, DataLoader(TensorDataset(torch.randn(12, 2)), batch_size=2), ckpt_path=resume)
    return module, trainer


def test_each_batch_is_announced_before_its_forward_pass(tmp_path: Path) -> None:
    module, _ = train(tmp_path, epochs=2)
    assert module.method.net is module.net
    assert module.method.calls == [(t, 12) for t in range(12)]
    assert module.calls_before_forward == list(range(1, 13))


def test_batches_of_one_accumulated_gradient_share_an_iteration(tmp_path: Path) -> None:
    module, _ = train(tmp_path, epochs=1, accumulate=2)
    assert module.method.calls == [(t, 3) for t in (0, 0, 1, 1, 2, 2)]


def test_the_gradient_is_shown_whole_once_before_each_update(tmp_path: Path) -> None:
    module, _ = train(tmp_path, epochs=1, accumulate=3)
    assert len(module.method.gradients) == 2
    torch.manual_seed(0)
    net, x = nn.Linear(2, 1), torch.randn(12, 2)  # as in train
    net(x[:6]).square().mean().backward()
    torch.testing.assert_close(module.method.gradients[0], net.weight.grad)


def test_state_travels_with_the_checkpoint_and_iterations_go_on(tmp_path: Path) -> None:
    _, trainer = train(tmp_path, epochs=1)
    checkpoint = tmp_path / "last.ckpt"
    trainer.save_checkpoint(checkpoint)
    module, _ = train(tmp_path, epochs=2, resume=checkpoint)
    assert module.method.state == {"last": [5, 6]}
    assert module.method.calls == [(t, 12) for t in range(6, 12)]


FLIPS = BopOptimizer([nn.Parameter(torch.ones(1))])


@pytest.mark.parametrize(("thing", "name"), [(FLIPS, "BopOptimizer"), (Bop, "Bop"), (nn.ReLU(), "ReLU")])
def test_what_is_no_method_is_refused(thing: Any, name: str) -> None:
    with pytest.raises(OnebitError, match=rf"apply: {name} is not an object of a method \(call it as apply"):
        apply(thing, nn.Linear(2, 2))


def test_a_run_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OnebitError, match="known length"):
        train(tmp_path, epochs=-1)
