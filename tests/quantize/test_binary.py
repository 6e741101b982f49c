"""The binary quantisers against their formulas, transcribed in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onebit import quantize

tensors = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
    elements=st.floats(-3, 3, width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45]),
)


def expected_sign(x):
    return np.where(x.astype(np.float64) >= 0, 1.0, -1.0)


def hard(x):
    return (np.abs(x) <= 1).astype(np.float64)


def approx(x):
    return np.maximum(0, 2 - 2 * np.abs(x))


def identity(x):
    return np.ones_like(x)


def swish(beta):
    return lambda x: beta * (2 - beta * x * np.tanh(beta * x / 2)) / (1 + np.cosh(beta * x))


CASES = {
    "Sign": (quantize.Sign(), hard),
    "ApproxSign": (quantize.ApproxSign(), approx),
    "IdentitySign": (quantize.IdentitySign(), identity),
    "SwishSign(5)": (quantize.SwishSign(), swish(5.0)),
    "SwishSign(1.5)": (quantize.SwishSign(beta=1.5), swish(1.5)),
}


def forward_and_gradient(quantizer, array, incoming):
    x = torch.from_numpy(array.copy()).requires_grad_()
    y = quantizer(x)
    y.backward(torch.from_numpy(incoming))
    return y.detach().numpy(), x.grad.numpy()


def incoming_for(array):
    return np.random.default_rng(array.size).standard_normal(array.shape).astype(np.float32)


@pytest.mark.parametrize("case", CASES)
@given(tensors)
def test_forward_and_gradient(case, array):
    quantizer, derivative = CASES[case]
    incoming = incoming_for(array)
    y, gradient = forward_and_gradient(quantizer, array, incoming)
    np.testing.assert_array_equal(y, expected_sign(array))
    np.testing.assert_allclose(gradient, derivative(array.astype(np.float64)) * incoming, rtol=1e-4, atol=1e-5)
    assert quantizer.precision == 1


@given(tensors)
def test_magnitude_aware_sign(array):
    incoming = incoming_for(array)
    y, gradient = forward_and_gradient(quantize.MagnitudeAwareSign(), array, incoming)
    wide = array.astype(np.float64)
    alpha = np.abs(wide).mean(axis=tuple(range(1, wide.ndim)), keepdims=True)
    np.testing.assert_allclose(y, alpha * expected_sign(array), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(gradient, alpha * hard(wide) * incoming, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_sign_keeps_dtype_and_layout(dtype):
    x = torch.randn(2, 3, 4, 5, dtype=dtype).to(memory_format=torch.channels_last)
    y = quantize.sign(x)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert set(y.unique().tolist()) == {-1.0, 1.0}


def test_the_input_is_left_alone():
    x = torch.tensor([-0.5, 0.5], requires_grad=True)
    before = x.detach().clone()
    for quantizer, _ in CASES.values():
        quantizer(x).sum().backward()
    assert torch.equal(x.detach(), before)


def test_swish_sign_is_finite_far_out():
    x = torch.tensor([-1e30, -1e3, 1e3, 1e30], requires_grad=True)
    quantize.SwishSign()(x).sum().backward()
    assert torch.equal(x.grad, torch.zeros(4))
