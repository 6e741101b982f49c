"""IR-Net against its equations."""

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from onebit.errors import OnebitError
from onebit.methods import IRNet
from onebit.methods.irnet import ErrorDecaySign, LibraSign
from tests.methods.parity import SHAPES, assert_convolution_is, assert_dense_is
from tests.methods.transcription import mean, sign, straight_through, variance


class Transcription:
    def __init__(self, t: int, total: int, low: float, high: float) -> None:
        self.temperature = low * 10 ** (t / total * math.log10(high / low))
        self.gain = max(1 / self.temperature, 1)

    def estimated(self, x: Tensor) -> Tensor:
        """sign forward; backward the derivative of g(x) = K tanh(T x)."""
        return straight_through(sign(x), self.gain * torch.tanh(self.temperature * x))

    def activation(self, a: Tensor, _: bool) -> Tensor:
        return self.estimated(a)

    def weight(self, w: Tensor, _: bool) -> Tensor:
        deviation = variance(w).sqrt()
        if w[0].numel() == 1:
            return 2.0**-1022 * self.estimated(w - mean(w))  # without spread ŵ is 0
        standard = (w - mean(w)) / deviation
        shift = torch.round(torch.log(mean(standard.detach().abs())) / math.log(2))
        return self.estimated(standard) * 2.0**shift


@settings(max_examples=40)
@given(t=st.integers(0, 99), low=st.sampled_from([1e-3, 0.1]), **SHAPES)
def test_convolution_is_that_of_the_paper(t: int, low: float, **shape: Any) -> None:
    # Of two weights, mean |ŵ| is always 1/√2: log₂ is -½, and its last bit decides which way the shift rounds.
    assume(shape["channels"] * shape["kernel"] ** 2 != 2)
    twin = Transcription(t, 100, low, 10.0)
    assert_convolution_is(IRNet((low, 10.0)), twin.activation, twin.weight, at=(t, 100), **shape)


def test_dense_layer_is_that_of_the_paper() -> None:
    twin = Transcription(70, 100, 0.1, 10.0)
    assert_dense_is(IRNet(), twin.activation, twin.weight, at=(70, 100))


def test_the_estimator_goes_from_the_identity_to_a_bump() -> None:
    """The area under it is that of the sign's jump as long as it is sharp: 2."""
    x = torch.linspace(-50, 50, 100_001, dtype=torch.float64)
    slopes = {temperature: ErrorDecaySign(temperature).derivative(x) for temperature in (1e-3, 1.0, 10.0)}
    assert (slopes[1e-3] - 1).abs().max() < 0.01
    assert slopes[10.0].max() == pytest.approx(10)
    for temperature in (1.0, 10.0):
        assert torch.trapezoid(slopes[temperature], x) == pytest.approx(2, abs=1e-4)


def test_scales_are_powers_of_two_and_signs_are_balanced() -> None:
    torch.manual_seed(0)
    w = torch.randn(6, 4, 3, 3) * torch.logspace(-3, 3, 6).view(-1, 1, 1, 1) + 5
    y = LibraSign(1.0)(w)
    alpha = y.abs().flatten(1)
    assert torch.equal(alpha, alpha[:, :1].expand_as(alpha))
    assert torch.equal(alpha.log2(), alpha.log2().round())
    assert (y.sign().flatten(1).mean(1).abs() < 0.4).all()  # without centring, all would be +1


def test_equal_weights_give_finite_numbers() -> None:
    w = torch.full((2, 4), 0.5, requires_grad=True)
    LibraSign(1.0)(w).sum().backward()
    assert w.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [(0.0, 1.0), (2.0, 1.0)])
def test_bad_temperatures_are_refused(temperature: tuple[float, float]) -> None:
    with pytest.raises(OnebitError, match="temperature from"):
        IRNet(temperature)
