"""Random networks in many styles of writing: the file answers as the network does, or the export is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import onebit
from onebit import deploy
from onebit.errors import OnebitError
from onebit.nn import BinaryConv2d, RPReLU, RSign
from onebit.quantize import MagnitudeAwareSign, Sign
from tests.deploy.nets import randomize

CHANNELS = 6
Step = tuple[str, int, int]  # what is done, to which of the tensors so far, and with which other


def assigned(x: Tensor) -> Tensor:
    x[:, 0] = 0
    return x


def added_in_place(x: Tensor, y: Tensor) -> Tensor:
    x += y
    return x


def without_a_result(x: Tensor, y: Tensor) -> Tensor:
    x.add_(y)
    return x


FUNCTIONS = {
    "relu": lambda x, y: functional.relu(x),
    "relu_": lambda x, y: functional.relu(x, inplace=True),
    "method": lambda x, y: x.relu_(),
    "clamp_": lambda x, y: x.clamp_(-1, 1),
    "leaky": lambda x, y: functional.leaky_relu(x, 0.1),
    "dropout": lambda x, y: functional.dropout(x, 0.5, training=False),
    "add": lambda x, y: x + y,
    "iadd": added_in_place,
    "add_": without_a_result,
    "alias": lambda x, y: x,
    "clone": lambda x, y: x.clone(),
    "detach": lambda x, y: x.detach(),
    "to": lambda x, y: x.to(torch.float32).contiguous(),
    "flat": lambda x, y: (x.flatten(1).relu_(), x)[1],
    "every": lambda x, y: x[:, :, ::1, ::1],
    "odd": lambda x, y: functional.pad(x, (1, 0, 1, 0))[:, :, 1:, 1:],
    "part": lambda x, y: (x[:, :2].relu_(), x)[1],
    "assign": lambda x, y: assigned(x),
    "double": lambda x, y: x * 2,
    "data": lambda x, y: (x.data.relu_(), x)[1],
    "number": lambda x, y: functional.hardtanh(x, -1.0, x.mean().item() * 0 + 1),
}


class Standardised(nn.Conv2d):
    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(x, weight - weight.mean((1, 2, 3), keepdim=True), bias)


def hooked(hook: object) -> nn.Module:
    module = nn.Sequential(nn.BatchNorm2d(CHANNELS), nn.ReLU())
    module[1].register_forward_hook(hook)  # type: ignore[arg-type]
    return module


def replaced() -> nn.Module:
    module = nn.ReLU()
    module.forward = lambda x: functional.relu(x) * 2  # type: ignore[method-assign]
    return module


def binary(quantizer: nn.Module) -> nn.Module:
    return BinaryConv2d(
        CHANNELS, CHANNELS, 3, padding=1, input_quantizer=quantizer, weight_quantizer=MagnitudeAwareSign()
    )


MODULES = {
    "norm": lambda: nn.BatchNorm2d(CHANNELS),
    "relu_module": lambda: nn.ReLU(inplace=True),
    "hardtanh_module": lambda: nn.Hardtanh(inplace=True),
    "prelu": lambda: nn.PReLU(CHANNELS),
    "rprelu": lambda: RPReLU(CHANNELS),
    "conv": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
    "standardised": lambda: Standardised(CHANNELS, CHANNELS, 1),
    "binary": lambda: binary(Sign()),
    "rsign": lambda: binary(RSign(CHANNELS)),
    "in_place": lambda: binary(nn.Sequential(nn.Hardtanh(inplace=True), Sign())),
    "sample": lambda: binary(nn.Sequential(nn.GroupNorm(1, CHANNELS), Sign())),
    "looks": lambda: hooked(lambda module, inputs, output: None),
    "triples": lambda: hooked(lambda module, inputs, output: output * 3),
    "writes": lambda: hooked(lambda module, inputs, output: (output.mul_(3), None)[1]),
    "replaced": replaced,
}


class Program(nn.Module):
    """Steps, each of which makes a tensor from those before; every other name of a tensor lives on."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps
        self.stem = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.layers = nn.ModuleList(MODULES[name]() if name in MODULES else nn.Identity() for name, _, _ in steps)
        self.head = nn.Linear(CHANNELS, 4)

    def forward(self, x: Tensor) -> Tensor:
        tensors = [self.stem(x)]
        for (name, first, second), layer in zip(self.steps, self.layers, strict=True):
            a, b = (tensors[max(0, len(tensors) - 1 - back)] for back in (first, second))
            tensors.append(layer(a) if name in MODULES else FUNCTIONS[name](a, b))
        return self.head((tensors[-1] + tensors[-2]).mean((2, 3)))


STEPS = st.lists(
    st.tuples(st.sampled_from([*FUNCTIONS, *MODULES]), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6
)


def agree_or_refuse(steps: list[Step], seed: int, constant: bool, folder: Path) -> None:
    torch.manual_seed(seed)
    net = randomize(Program(steps), seed)
    example = torch.zeros(2, 3, 5, 4) if constant else torch.randn(2, 3, 5, 4)
    try:
        deploy.export(net, folder / "m.obn", example, force=True)
    except OnebitError:
        event("refused")
        return
    event("exported")
    x = torch.randn(16, 3, 5, 4)
    with torch.no_grad():
        expected = net(x.clone()).numpy()
    answers = onebit.load(folder / "m.obn")(x.numpy())
    same = np.abs(answers - expected).max(axis=1) <= 1e-3 * max(np.abs(expected).max(), 1e-6)
    assert same.mean() > 0.8  # an image where a sign lies within rounding of its threshold may differ


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS, st.integers(0, 10**6), st.booleans())
def test_no_third_outcome(tmp_path: Path, one_thread: None, steps: list[Step], seed: int, constant: bool) -> None:
    agree_or_refuse(steps, seed, constant, tmp_path)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS, st.integers(0, 10**6), st.booleans())
def test_no_third_outcome_of_two_thousand(
    tmp_path: Path, one_thread: None, steps: list[Step], seed: int, constant: bool
) -> None:
    agree_or_refuse(steps, seed, constant, tmp_path)
