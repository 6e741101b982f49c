"""The stochastic gradient quantiser: levels, expectation, reproducibility, and the tensors that could divide by
zero."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onebit.quantize import GradientQuantizer, quantize_gradient, stochastic_quantize

arrays = hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=6), elements=st.floats(-9, 9, width=32))


@given(arrays, st.integers(1, 10), st.integers(0, 99))
def test_formula_with_the_same_noise(array, bits, seed):
    g = torch.from_numpy(array)
    torch.manual_seed(seed)
    y = stochastic_quantize(g, bits).numpy().astype(np.float64)
    torch.manual_seed(seed)
    noise = torch.rand_like(g).numpy().astype(np.float64)
    wide = array.astype(np.float64)
    highest = 2**bits - 1
    scale = np.ptp(wide) / highest
    if scale == 0:
        np.testing.assert_array_equal(y, wide)
        return
    exact = (wide - wide.min()) / scale + noise
    expected = np.minimum(np.floor(exact), highest) * scale + wide.min()
    clear = np.abs(exact - np.rint(exact)) > 1e-3  # elsewhere float32 may round to the neighbouring level
    np.testing.assert_allclose(y[clear], expected[clear], atol=1e-5)
    assert (np.abs(y - wide) <= scale * 1.001 + 1e-5).all()


def test_expectation_is_the_gradient():
    torch.manual_seed(0)
    g = torch.tensor([-1.0, -0.83, 0.1, 0.37, 2.0])
    mean = torch.stack([stochastic_quantize(g, 2) for _ in range(4000)]).mean(0)
    assert (mean - g).abs().max() < 0.04  # five standard errors of a step of 1


@given(arrays, st.integers(1, 8))
def test_forward_is_the_identity_and_backward_quantizes(array, bits):
    x = torch.from_numpy(array.copy()).requires_grad_()
    y = quantize_gradient(x, bits)
    assert torch.equal(y, x)
    incoming = torch.randn(x.shape)
    torch.manual_seed(3)
    y.backward(incoming)
    torch.manual_seed(3)
    assert torch.equal(x.grad, stochastic_quantize(incoming, bits))


@pytest.mark.parametrize("value", [0.0, -0.0, 2.5, -1e-38, 1e-45])
@pytest.mark.parametrize("shape", [(), (1,), (3, 4)])
def test_a_constant_tensor_is_kept(value, shape):
    g = torch.full(shape, value)
    assert torch.equal(stochastic_quantize(g, 8), g)


def test_small_gradients_keep_their_bits():
    torch.manual_seed(0)
    g = torch.randn(10_000) * 1e-12
    assert len(stochastic_quantize(g, 8).unique()) > 200


def test_a_checkpoint_of_the_generator_reproduces_the_noise():
    g = torch.randn(100)
    state = torch.get_rng_state()
    first = stochastic_quantize(g, 4)
    assert not torch.equal(stochastic_quantize(g, 4), first)
    torch.set_rng_state(state)
    assert torch.equal(stochastic_quantize(g, 4), first)


def test_bits_travel_in_the_state_dict():
    target = GradientQuantizer(2)
    target.load_state_dict(GradientQuantizer(8).state_dict())
    assert target.bits == target.precision == 8


def test_half_precision_gradients():
    torch.manual_seed(0)
    g = torch.randn(1000).to(torch.bfloat16)
    y = stochastic_quantize(g, 8)
    assert y.dtype == torch.bfloat16
    assert (y.float() - g.float()).abs().max() < (g.max() - g.min()).float() / 255 + 0.03
