"""The two steps against their equations."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from onebit import cost, models
from onebit.errors import OnebitError
from onebit.methods import ReActNet, optimizer_groups
from onebit.nn import binary_layers
from tests.methods.parity import SHAPES, assert_convolution_is, assert_dense_is
from tests.methods.test_birealnet import activation, weight


def real(w: Tensor, _: bool) -> Tensor:
    return w


@settings(max_examples=20)
@given(**SHAPES)
def test_step_1_is_that_of_the_paper(**shape: Any) -> None:
    assert_convolution_is(ReActNet(step=1), activation, real, **shape)


@settings(max_examples=20)
@given(**SHAPES)
def test_step_2_is_that_of_the_paper(**shape: Any) -> None:
    assert_convolution_is(ReActNet(step=2), activation, weight, **shape)


def test_dense_layers() -> None:
    assert_dense_is(ReActNet(step=1), activation, real)
    assert_dense_is(ReActNet(step=2), activation, weight)


def test_both_steps_have_the_same_weights() -> None:
    nets = [models.create("reactnet_a", input_size=32, width=4) for _ in range(3)]
    for step in (1, 2):
        ReActNet(step=step).attach(nets[step])
    assert nets[0].state_dict().keys() == nets[1].state_dict().keys() == nets[2].state_dict().keys()


@pytest.mark.parametrize(("name", "thresholds_and_shifts"), [("reactnet18", 11_072), ("reactnet_a", 31_744)])
def test_kernels_thresholds_and_shifts_decay_as_released(name: str, thresholds_and_shifts: int) -> None:
    with torch.device("meta"):
        net, method = models.create(name), ReActNet(step=1)
    method.attach(net)
    decayed, others = optimizer_groups(net.parameters(), method.parameter_groups(), 1e-3, 5e-6)
    assert (decayed["weight_decay"], others["weight_decay"]) == (5e-6, 0)
    names = {parameter: name for name, parameter in net.named_parameters()}
    assert {names[p].rpartition(".")[2] for p in others["params"]} == {"weight", "bias", "beta"}
    assert {p.dim() for p in others["params"]} == {1, 2}  # slopes and BatchNorm; the head's weight is not a kernel
    kernels, learned = ({p for p in decayed["params"] if (p.dim() == 4) == kernel} for kernel in (True, False))
    assert {names[p].rpartition(".")[2] for p in kernels} == {"weight"}
    assert {names[p].rpartition(".")[2] for p in learned} == {"alpha", "gamma", "zeta"}
    assert sum(p.numel() for p in learned) == thresholds_and_shifts
    assert all(layer.weight in kernels for _, layer in binary_layers(net))


def test_the_ledger_knows_the_step() -> None:
    widths = {1: (32, 1), 2: (1, 1)}
    for step, pair in widths.items():
        net, method = models.create("small"), ReActNet(step=step)
        method.attach(net)
        ledger = cost.count(net, torch.zeros(1, 1, 8, 8), method)
        assert ledger.forward[pair] == sum(layer.macs["forward"] for layer in ledger.layers if layer.quantized)


def test_another_step_is_refused() -> None:
    with pytest.raises(OnebitError, match="no step 3"):
        ReActNet(step=3)  # type: ignore[arg-type]
