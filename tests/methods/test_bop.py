"""Bop and second-order Bop against their update rules."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from onebit.errors import OnebitError
from onebit.methods import Bop, BopOptimizer, SecondOrderBopOptimizer

Array = NDArray[np.float64]


def transcription(w: Array, gradients: Array, rule: str, gamma: float, tau: float, sigma: float) -> tuple[Array, int]:
    """The papers' algorithms, a weight at a time; and how often weights were flipped."""
    flips, w = 0, w.copy()
    for i in range(len(w)):
        m = v = 0.0
        for t, g in enumerate(gradients[:, i], start=1):
            m = (1 - gamma) * m + gamma * g
            v = (1 - sigma) * v + sigma * g**2
            inertia = m
            if rule == "biased":
                inertia = m / (np.sqrt(v) + 1e-10)
            if rule == "unbiased":
                inertia = (m / (1 - (1 - gamma) ** t)) / (np.sqrt(v / (1 - (1 - sigma) ** t)) + 1e-10)
            if abs(inertia) > tau and np.sign(inertia) == np.sign(w[i]):
                w[i], flips = -w[i], flips + 1
    return w, flips


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    rule=st.sampled_from(["bop", "biased", "unbiased"]),
    gamma=st.floats(0.01, 1),
    tau=st.floats(0.0, 0.3),
    sigma=st.floats(0.01, 1),
    steps=st.integers(1, 12),
)
def test_flips_are_those_of_the_papers(
    seed: int, rule: str, gamma: float, tau: float, sigma: float, steps: int
) -> None:
    random = np.random.default_rng(seed)
    start = random.integers(0, 2, 20) * 2.0 - 1
    gradients = random.standard_normal((steps, 20))
    w = nn.Parameter(torch.from_numpy(start.copy()))
    if rule == "bop":
        optimizer: BopOptimizer = BopOptimizer([w], gamma, tau)
    else:
        optimizer = SecondOrderBopOptimizer([w], gamma, tau, sigma, unbiased=rule == "unbiased")
    for gradient in gradients:
        w.grad = torch.from_numpy(gradient)
        optimizer.step()
    expected, _ = transcription(start, gradients, rule, gamma, tau, sigma)
    assert np.array_equal(w.detach().numpy(), expected)


def test_the_cases_above_do_flip() -> None:
    random = np.random.default_rng(0)
    start, gradients = random.integers(0, 2, 20) * 2.0 - 1, random.standard_normal((12, 20))
    for rule in ("bop", "biased", "unbiased"):
        assert transcription(start, gradients, rule, 0.3, 0.1, 0.1)[1] > 10


def test_a_high_threshold_or_a_gradient_of_zero_flips_nothing() -> None:
    for gradient, tau in ((1.0, 6.0), (0.0, 0.0)):  # the first inertia of the biased form is 0.5 / √0.01
        w = nn.Parameter(torch.tensor([1.0, -1.0]))
        w.grad = torch.full_like(w, gradient)
        for optimizer in (BopOptimizer([w], 0.5, tau), SecondOrderBopOptimizer([w], 0.5, tau)):
            optimizer.step()
            assert w.tolist() == [1.0, -1.0]


@pytest.mark.parametrize("kind", [BopOptimizer, SecondOrderBopOptimizer])
def test_goes_on_from_its_state(kind: type[BopOptimizer]) -> None:
    torch.manual_seed(0)
    gradients = torch.randn(10, 8)
    options: dict[str, Any] = {"gamma": 0.2, "threshold": 0.05}
    if kind is SecondOrderBopOptimizer:
        options["unbiased"] = True

    def run(w: nn.Parameter, optimizer: BopOptimizer, part: torch.Tensor) -> None:
        for gradient in part:
            w.grad = gradient.clone()
            optimizer.step()

    whole = nn.Parameter(torch.ones(8))
    first = kind([whole], **options)
    run(whole, first, gradients[:5])
    half = nn.Parameter(whole.detach().clone())
    second = kind([half], **options)
    second.load_state_dict(first.state_dict())
    run(whole, first, gradients[5:])
    run(half, second, gradients[5:])
    assert torch.equal(whole, half)
    assert not torch.equal(whole, torch.ones(8))


def test_a_closure_is_called() -> None:
    w = nn.Parameter(torch.ones(2))

    def closure() -> float:
        loss = (w * torch.tensor([1.0, -1.0])).sum()
        loss.backward()
        return float(loss.detach())

    assert BopOptimizer([w], 0.5, 0.1).step(closure) == 0
    assert w.tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"gamma": 0.0}, "gamma is 0"), ({"gamma": 1.5}, "gamma is 1.5"), ({"threshold": -1.0}, "threshold is -1")],
)
@pytest.mark.parametrize("kind", [BopOptimizer, SecondOrderBopOptimizer])
def test_bad_settings_are_refused(kind: type[BopOptimizer], options: dict[str, float], message: str) -> None:
    with pytest.raises(OnebitError, match=message):
        kind([nn.Parameter(torch.ones(2))], **options)
    with pytest.raises(OnebitError, match="sigma is 2"):
        SecondOrderBopOptimizer([nn.Parameter(torch.ones(2))], sigma=2.0)


def test_a_latent_weight_is_refused() -> None:
    w = nn.Parameter(torch.tensor([0.5]))
    w.grad = torch.ones(1)
    with pytest.raises(OnebitError, match="not ±1"):
        BopOptimizer([w]).step()


def test_the_method_says_which_the_optimiser_is() -> None:
    with pytest.raises(OnebitError, match=r"the rule is of type generator .*the optimiser of given parameters is Bop"):
        Bop(nn.Linear(2, 2).parameters())  # type: ignore[arg-type]
