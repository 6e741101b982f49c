"""Learning rates over a run, and the optimisers that recipes name."""

import math
from typing import Any, Literal

import pytest
import torch
from torch import nn

from onebit.methods import ParameterGroup
from onebit.training.optimizer import make_optimizer, make_schedule
from onebit.training.recipe import OptimizerConfig, ScheduleConfig


def rates(name: Literal["cosine", "linear", "constant"], warmup: int = 0, total: int = 10) -> list[float]:
    optimizer = make_optimizer(OptimizerConfig("sgd", lr=2.0), nn.Linear(1, 1).parameters())
    schedule = make_schedule(ScheduleConfig(name, warmup), optimizer, total)
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_cosine() -> None:
    assert rates("cosine") == pytest.approx([1 + math.cos(math.pi * t / 10) for t in range(10)])


def test_linear_and_constant() -> None:
    assert rates("linear") == pytest.approx([2 * (1 - t / 10) for t in range(10)])
    assert rates("constant") == [2.0] * 10


def test_warmup() -> None:
    assert rates("constant", warmup=4)[:6] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0])
    assert rates("cosine", warmup=4)[4] == 2.0


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_settings_arrive(name: Any, kind: type) -> None:
    optimizer = make_optimizer(OptimizerConfig(name, lr=0.1, weight_decay=0.2), nn.Linear(1, 1).parameters())
    assert type(optimizer) is kind
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.1, 0.2)


def test_frozen_parameters_are_left_out() -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    optimizer = make_optimizer(OptimizerConfig("sgd", momentum=0.5), net.parameters())
    assert optimizer.param_groups[0]["params"] == [net.weight]
    assert optimizer.defaults["momentum"] == 0.5


def test_a_method_s_parameters_keep_their_rate_along_the_schedule() -> None:
    net = nn.Linear(2, 2)
    groups = [ParameterGroup((net.bias,), lr_factor=0.1, decay=False)]
    optimizer = make_optimizer(OptimizerConfig("adamw", lr=1.0, weight_decay=0.5), net.parameters(), groups)
    schedule = make_schedule(ScheduleConfig("linear"), optimizer, 2)
    assert [group["params"] for group in optimizer.param_groups] == [[net.weight], [net.bias]]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1.0, 0.1])
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.05])
