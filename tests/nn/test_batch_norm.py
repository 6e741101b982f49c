"""BatchNorm behind a scaled product, as the engine has it, beside autograd in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from onebit import _engine

MEAN = 4  # a row of the state


def forward(y: NDArray[np.int64], operands: list[Any], epsilon: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """The state and the coefficients for products (M, C)."""
    state, coefficients = np.empty((5, y.shape[1])), np.empty((5, y.shape[1]), np.float32)
    sums = np.stack([y.sum(0), (y * y).sum(0)])
    _engine.batch_norm(sums, len(y), *operands, epsilon, state, coefficients)
    return state, coefficients


@given(
    seed=st.integers(0, 2**31),
    epsilon=st.sampled_from([1e-5, 1.0, 100.0]),
    given_ones=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_closed_forms_are_autograds(seed: int, epsilon: float, given_ones: list[bool]) -> None:
    torch.manual_seed(seed)
    y = torch.randint(-50, 51, (60, 3)).double().requires_grad_()
    drawn = (torch.rand(3) + 0.1, *(torch.randn(3) for _ in range(3)))  # the magnitude of weights is above 0
    filled = (torch.ones(3), torch.ones(3), torch.ones(3), torch.zeros(3))
    values = [x if own else other for x, other, own in zip(drawn, filled, given_ones, strict=True)]
    magnitude, scale, gamma, beta = (x.double().requires_grad_() for x in values)
    alpha = magnitude * scale
    alpha.retain_grad()
    product = y * alpha
    z = functional.batch_norm(product, None, None, gamma, beta, training=True, eps=epsilon)
    dz = torch.randn_like(z)
    z.backward(dz)

    operands = [x.numpy() if own else None for x, own in zip(drawn, given_ones, strict=True)]
    dots = y.detach().numpy()
    state, coefficients = forward(y.detach().long().numpy(), operands, epsilon)
    np.testing.assert_allclose(coefficients[0] * dots + coefficients[1], z.detach().numpy(), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(state[MEAN], dots.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(coefficients[2:4], [state[MEAN], state[MEAN] * alpha.detach().numpy()], rtol=1e-6)
    np.testing.assert_allclose(coefficients[4], product.detach().var(0).numpy(), rtol=1e-6)

    below = np.random.default_rng(seed).standard_normal((2, 3))
    sums = np.stack([dz.sum(0).numpy(), (dz.numpy() * (dots - coefficients[2])).sum(0), *below])
    _engine.centre_sums(state, coefficients[2], sums)
    np.testing.assert_allclose(sums[1], (dz.numpy() * (dots - state[MEAN])).sum(0), rtol=1e-9, atol=1e-9)
    k, gradients = np.empty((3, 3), np.float32), np.empty((7, 3), np.float32)
    _engine.batch_norm_gradient(state, 60, epsilon, sums, sums[:2], operands[0], k, gradients)
    size = float(dz.abs().sum())

    def near(mine: Any, theirs: Tensor | None, times: float = 1) -> None:
        assert theirs is not None
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-6, atol=1e-6 * times * size)

    near(k[0] * dz.numpy() + k[1] * dots + k[2], y.grad)
    near(gradients[0], scale.grad, 50)
    near(gradients[1], gamma.grad)
    near(gradients[2], beta.grad)
    near(-gradients[3], beta.grad)
    np.testing.assert_allclose(gradients[4:6], below[::-1], rtol=1e-6)
    near(gradients[6], magnitude.grad, 50)


def test_variance_keeps_its_digits() -> None:
    y = np.array([30000] * 999 + [30001], np.int64)[:, None].repeat(2, 1)
    y[:, 1] = -30000
    state, coefficients = forward(y, [None] * 4, 0.0)
    np.testing.assert_allclose(coefficients[4] * 999 / 1000, [999 / 1000**2, 0], rtol=1e-6)
    np.testing.assert_allclose(state[MEAN], [30000 + 1 / 1000, -30000], rtol=1e-15)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_one_sum_that_is_not_finite_makes_all_of_them_nan(bad: float) -> None:
    state, coefficients = forward(np.arange(6).reshape(3, 2), [None] * 4, 1e-5)
    sums = np.zeros((4, 2))
    sums[3, 1] = bad
    _engine.centre_sums(state, coefficients[2], sums)
    assert np.isnan(sums).all()
    k, gradients = np.empty((3, 2), np.float32), np.empty((7, 2), np.float32)
    _engine.batch_norm_gradient(state, 3, 1e-5, sums, sums[:2], None, k, gradients)
    assert np.isnan(k[1:]).all()
    assert np.isnan(gradients).all()


def test_arrays_of_other_sizes_or_types_are_refused() -> None:
    sums, state, coefficients = np.zeros((2, 3), np.int64), np.empty((5, 3)), np.empty((5, 3), np.float32)
    ones = np.ones(3, np.float32)
    _engine.batch_norm(sums, 4, ones, None, None, None, 1e-5, state, coefficients)
    for broken in (
        (sums, 0, ones, None, None, None, 1e-5, state, coefficients),
        (sums, 4, ones[:2], None, None, None, 1e-5, state, coefficients),
        (sums, 4, ones.astype(np.float64), None, None, None, 1e-5, state, coefficients),
        (sums, 4, ones, None, None, None, 1e-5, state[:4], coefficients),
    ):
        with pytest.raises((ValueError, TypeError)):
            _engine.batch_norm(*broken)
