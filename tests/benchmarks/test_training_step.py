"""The floor and the shapes of benchmarks/training_step.py."""

import pytest
import torch
from training_step import floor, shapes, spread


def test_shapes_of_resnet18() -> None:
    found = shapes(torch.zeros(2, 3, 32, 32))
    assert sum(found.values()) == 16
    assert found[32, 64, 64, 1] == 4
    assert found[32, 64, 128, 2] == 1


def test_floor_takes_the_longer() -> None:
    rates = {"binary": 1e12, "int8": 1e11, "bytes": 1e10}
    products, x, y = 9 * 64 * 256 * 64 * 128, 4 * 64 * 1024 * 64, 4 * 64 * 256 * 128
    found = floor((32, 64, 128, 2), 64, 2, rates)
    assert found["forward"] == pytest.approx(1e3 * (x + y) / 1e10)
    assert found["backward"] == pytest.approx(1e3 * 2 * products / 2e11)


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0])["median"] == 2.0
