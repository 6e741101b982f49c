"""The uniform quantiser against its formula, transcribed in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onebit.errors import OnebitError
from onebit.quantize import KBitQuantizer, UniformQuantizer, UniformWeightQuantizer, uniform

# Sixteenths with a power of two as step make float32 exact, so that ties are ties in both.
sixteenths = st.integers(-64, 64).map(lambda i: i / 16)
arrays = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(-9, 9, width=32)
)


def expected(x, bits, minimum, extent):
    scale = np.maximum(extent / (2**bits - 1), 1e-8)
    return np.rint(np.clip((x - minimum) / scale, 0, 2**bits - 1)) * scale + minimum


@given(hnp.arrays(np.float32, (3, 4), elements=sixteenths), st.integers(1, 8), sixteenths, st.integers(-3, 2))
def test_formula_is_exact_on_a_dyadic_grid(array, bits, minimum, exponent):
    extent = (2**bits - 1) * 2.0**exponent
    y = uniform.quantize(torch.from_numpy(array), bits, torch.tensor(minimum), torch.tensor(extent))
    np.testing.assert_array_equal(y.numpy(), expected(array.astype(np.float64), bits, minimum, extent))


@given(arrays, st.integers(1, 12), st.sampled_from([None, 0, 1, -1]))
def test_own_range(array, bits, axis):
    x = torch.from_numpy(array)
    y = uniform.quantize(x, bits, *uniform.measure(x, axis)).numpy().astype(np.float64)
    wide = array.astype(np.float64)
    others = None if axis is None else tuple(d for d in range(array.ndim) if d != axis % array.ndim)
    minimum, maximum = wide.min(others, keepdims=True), wide.max(others, keepdims=True)
    step = np.maximum((maximum - minimum) / (2**bits - 1), 1e-8)
    assert (np.abs(y - wide) <= step * 0.5 + 1e-5).all()  # the nearest level
    level = (y - minimum) / step
    assert (np.abs(level - np.rint(level)) * step <= 1e-5).all()  # on a level
    assert ((y >= minimum - 1e-5) & (y <= maximum + 1e-5)).all()


@given(arrays, st.integers(1, 8))
def test_gradient_is_the_identity(array, bits):
    x = torch.from_numpy(array.copy()).requires_grad_()
    incoming = torch.randn(x.shape)
    uniform.quantize(x, bits, torch.tensor(-1.0), torch.tensor(2.0)).backward(incoming)
    assert torch.equal(x.grad, incoming)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-30])
def test_a_constant_tensor_is_kept(value):
    x = torch.full((2, 3), value)
    assert torch.equal(uniform.quantize(x, 4, *uniform.measure(x)), x)


@given(arrays, st.integers(1, 8))
def test_evaluation_is_monotone_and_elementwise(array, bits):
    quantizer = UniformQuantizer(bits)
    quantizer(torch.tensor([[-2.0, 3.0]]))
    quantizer.eval()
    x = torch.from_numpy(array).flatten().sort().values
    y = quantizer(x)
    assert (y.diff() >= 0).all()
    assert torch.equal(torch.stack([quantizer(v) for v in x]), y)


@pytest.mark.parametrize("channels", [None, 3])
def test_running_ranges(channels):
    quantizer = UniformQuantizer(4, channels=channels)
    low, extent = np.zeros(3), np.zeros(3)
    for seed in range(5):
        torch.manual_seed(seed)
        x = torch.randn(2, 3, 4, 4) * torch.tensor([1.0, 5.0, 0.1]).view(-1, 1, 1)
        y = quantizer(x)
        flat = x.transpose(0, 1).flatten(1).numpy().astype(np.float64)
        if channels is None:
            flat = np.broadcast_to(flat.reshape(1, -1), (3, flat.size))
        low = 0.9 * low + 0.1 * flat.min(1)
        extent = 0.9 * extent + 0.1 * (flat.max(1) - flat.min(1))
        own = expected(x.double().numpy(), 4, flat.min(1)[:, None, None], np.ptp(flat, 1)[:, None, None])
        close = np.isclose(y.numpy(), own, atol=1e-5)
        assert close.mean() > 0.98  # a value halfway between two levels may fall to either side in float32
    np.testing.assert_allclose(quantizer.zero.numpy(), low if channels else low[0], rtol=1e-5)
    np.testing.assert_allclose(quantizer.scale.numpy(), (extent if channels else extent[0]) / 15, rtol=1e-5)
    before = quantizer.state_dict()
    quantizer.eval()
    x = torch.randn(2, 3, 4, 4) * 4
    shape = (-1, 1, 1) if channels else ()
    level = (quantizer(x) - quantizer.zero.view(shape)) / quantizer.scale.view(shape)
    assert (level - level.round()).abs().max() < 1e-3
    assert level.min() > -0.5
    assert level.max() < 15.5
    assert all(torch.equal(before[key], value) for key, value in quantizer.state_dict().items())


def test_weights_keep_their_own_range_in_evaluation():
    w = torch.randn(4, 3, 3, 3)
    quantizer = UniformWeightQuantizer(3)
    assert torch.equal(quantizer.train()(w), quantizer.eval()(w))
    assert all(len(channel.unique()) <= 8 for channel in quantizer(w))
    assert torch.equal(quantizer(w).amin((1, 2, 3)), w.amin((1, 2, 3)))


def test_half_precision_is_quantized_in_float32():
    x = torch.linspace(-1, 1, 301).to(torch.bfloat16)
    y = uniform.quantize(x, 8, torch.tensor(-1.0), torch.tensor(2.0))
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, uniform.quantize(x.float(), 8, torch.tensor(-1.0), torch.tensor(2.0)).to(torch.bfloat16))


def test_bits_travel_in_the_state_dict():
    source, target = UniformQuantizer(6), UniformQuantizer(2)
    source(torch.randn(3, 4))
    source.bits = 5
    target.load_state_dict(source.state_dict())
    assert target.bits == target.precision == 5
    x = torch.randn(3, 4)
    assert torch.equal(target.eval()(x), source.eval()(x))


@pytest.mark.parametrize("bits", [0, -1, 25])
def test_impossible_bits_are_refused(bits):
    with pytest.raises(OnebitError, match="1 to 24"):
        KBitQuantizer(bits)
    with pytest.raises(OnebitError, match="1 to 24"):
        uniform.quantize(torch.zeros(2), bits, torch.tensor(0.0), torch.tensor(1.0))
