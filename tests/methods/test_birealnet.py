"""Bi-Real Net's quantisers against its equations."""

from typing import Any

import torch
from hypothesis import given, settings
from torch import Tensor

from onebit.methods import BiReal
from tests.methods.parity import SHAPES, assert_convolution_is, assert_dense_is
from tests.methods.transcription import mean, sign, straight_through


def activation(a: Tensor, _: bool) -> Tensor:
    """Backward the piecewise polynomial: 2a + a² below zero, 2a − a² above, ±1 outside."""
    inner = torch.where(a < 0, 2 * a + a**2, 2 * a - a**2)
    return straight_through(sign(a), torch.where(a.abs() < 1, inner, torch.zeros_like(a)))


def weight(w: Tensor, _: bool) -> Tensor:
    return mean(w.detach().abs()) * straight_through(sign(w), w.clamp(-1, 1))


@settings(max_examples=40)
@given(**SHAPES)
def test_convolution_is_that_of_the_paper(**shape: Any) -> None:
    assert_convolution_is(BiReal(), activation, weight, **shape)


def test_dense_layer_is_that_of_the_paper() -> None:
    assert_dense_is(BiReal(), activation, weight)
