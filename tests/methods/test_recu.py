"""ReCU against its equations."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from onebit import models
from onebit.errors import OnebitError
from onebit.methods import ReCU, optimizer_groups
from onebit.methods.recu import RectifiedSign
from tests.methods.parity import SHAPES, assert_convolution_is, assert_dense_is
from tests.methods.transcription import mean, sign, straight_through, variance


def activation(a: Tensor, training: bool) -> Tensor:
    if not training:
        return sign(a)
    scaled = a / torch.sqrt(variance(a) + 1e-5)
    slope = torch.clamp(2 - 2 * scaled.detach().abs(), min=0)
    return sign(scaled) + slope * (scaled - scaled.detach())


class Weight:
    def __init__(self, t: int, total: int, low: float, high: float) -> None:
        self.tau = low + (high - low) / (math.e - 1) * (math.e ** (t / total) - 1)

    def __call__(self, w: Tensor, _: bool) -> Tensor:
        centred = w - mean(w)
        standard = centred / (torch.sqrt(variance(centred) + 1e-5) / (2 * math.sqrt(2)))
        limit = -math.log(2 - 2 * self.tau) * float(standard.detach().abs().mean())
        clamped = torch.minimum(torch.maximum(standard, torch.tensor(-limit)), torch.tensor(limit))
        return straight_through(sign(clamped), clamped)


def times_alpha(y: Tensor, transform: nn.Module) -> Tensor:
    return y * transform.alpha.detach().view(-1, *[1] * (y.dim() - 2))


@settings(max_examples=40)
@given(t=st.integers(0, 99), low=st.sampled_from([0.6, 0.85]), **SHAPES)
def test_convolution_is_that_of_the_paper(t: int, low: float, **shape: Any) -> None:
    method, twin = ReCU((low, 0.99)), Weight(t, 100, low, 0.99)
    assert_convolution_is(method, activation, twin, times_alpha, at=(t, 100), **shape)


def test_dense_layer_is_that_of_the_paper() -> None:
    assert_dense_is(ReCU(), activation, Weight(70, 100, 0.85, 0.99), times_alpha, at=(70, 100))


@pytest.mark.parametrize("tau", [0.6, 0.85, 0.99])
def test_the_clamp_stands_at_the_quantile_of_laplace_weights(tau: float) -> None:
    torch.manual_seed(0)
    w = torch.distributions.Laplace(0.0, 1.0).sample((1, 200_000)).requires_grad_()
    upstream = torch.randint(2, w.shape) * 2.0 - 1
    (RectifiedSign(tau)(w) * upstream).sum().backward()
    # a clamped weight gets only the gradient through mean and variance, which is small
    dead = (w.grad.abs() < 0.5 * w.grad.abs().max()).float().mean()
    assert dead == pytest.approx(2 * (1 - tau), abs=0.005)


def test_what_decays_as_released() -> None:
    with torch.device("meta"):
        net = models.create("resnet18_imagenet")
    names = {parameter: name for name, parameter in net.named_parameters()}
    for decay_all in (True, False):
        method = ReCU(decay_all=decay_all)
        method.attach(net)
        names |= {parameter: name for name, parameter in net.named_parameters()}
        groups = optimizer_groups(net.parameters(), method.parameter_groups(), 0.1, 1e-4)
        decayed = [names[p] for group in groups if group["weight_decay"] for p in group["params"]]
        if decay_all:  # for CIFAR-10
            assert len(decayed) == 80
        else:  # for ImageNet, where names have "conv" or "fc" in them
            convolutions = [f"stages.{i}.{j}.conv{k}" for i in range(4) for j in range(2) for k in (1, 2)]
            expected = {f"{conv}.{name}" for conv in convolutions for name in ("weight", "output_transform.alpha")}
            assert sorted(decayed) == sorted(expected | {"stem.0.weight", "head.weight", "head.bias"})


@pytest.mark.parametrize("tau", [(0.4, 0.9), (0.9, 0.85), (0.85, 1.0)])
def test_bad_tau_is_refused(tau: tuple[float, float]) -> None:
    with pytest.raises(OnebitError, match="tau from"):
        ReCU(tau)
