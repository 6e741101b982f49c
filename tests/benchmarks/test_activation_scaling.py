"""What benchmarks/activation_scaling.py stands on: one training run serves both scalings."""

from pathlib import Path

import pytest
import torch
from activation_scaling import measure
from torch import nn

from onebit.data import DataModule
from onebit.methods.cyclebnn import CyclicActivationSign
from onebit.training import fit, load_checkpoint
from tests.training.recipes import tiny


@pytest.mark.slow
def test_both_scalings_train_the_same_weights_and_are_measured_as_they_answer(tmp_path: Path) -> None:
    nets, results = {}, {}
    for scaling in ("released", "consistent"):
        results[scaling] = fit(tiny(method={"init_args": {"scaling": scaling}}), tmp_path / scaling, progress=False)
        nets[scaling], _ = load_checkpoint(tmp_path / scaling / "last.ckpt")
    released, consistent = (net.state_dict() for net in nets.values())
    assert consistent.keys() - released.keys() == {name for name in consistent if name.endswith("running_scale")}
    assert all(torch.equal(value, consistent[name]) for name, value in released.items())

    top1 = measure(nets["consistent"], list(DataModule("digits").test_dataloader()))
    assert {scaling: result["last_top1"] for scaling, result in results.items()} == {
        scaling: top1[scaling] for scaling in results
    }


def test_as_in_training_takes_the_scale_of_each_sample() -> None:
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(CyclicActivationSign(4, consistent=True), nn.Flatten())
    net.add_module("head", nn.Linear(192, 10))
    labels = net(x).argmax(1)
    factors = torch.tensor([1.0, 8.0, 0.25, 2.0]).view(4, 1, 1, 1)
    assert measure(net.eval(), [(x * factors, labels)])["as in training"] == 1.0
