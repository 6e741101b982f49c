"""BinaryLinear against torch's dense layer on explicit signs, and the iterator over binary layers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from onebit.nn import BinaryConv2d, BinaryLinear, RPReLU, RSign, binary_layers
from onebit.quantize import MagnitudeAwareSign


@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 9), st.integers(1, 4), st.booleans(), st.booleans())
def test_against_torch(features, out, batch, bias, training):
    layer = BinaryLinear(features, out, bias).train(training)
    if bias:
        nn.init.normal_(layer.bias)
    x = torch.randn(batch, features)
    expected = functional.linear(torch.where(x >= 0, 1.0, -1.0), torch.where(layer.weight >= 0, 1.0, -1.0))
    assert torch.equal(layer(x), expected + layer.bias if bias else expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(2, 7, 8), (7, 2, 3, 8), (8,), (0, 7, 8)])
def test_leading_dimensions_as_in_torch(shape, training):
    layer = BinaryLinear(8, 7, bias=True, input_quantizer=RSign(8), weight_quantizer=MagnitudeAwareSign()).train(
        training
    )
    nn.init.normal_(layer.bias)
    nn.init.normal_(layer.input_quantizer.alpha)
    layer.output_transform = RPReLU(7)
    x = torch.randn(shape)
    y = layer(x)
    assert y.shape == (*shape[:-1], 7)
    assert torch.equal(y.flatten(), layer(x.reshape(math.prod(shape[:-1]), 8)).flatten())


def test_dtype_and_device():
    layer = BinaryLinear(3, 2, bias=True, dtype=torch.float64, device="meta")
    assert {(p.dtype, p.device.type) for p in layer.parameters()} == {(torch.float64, "meta")}


def test_binary_layers():
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Sequential(BinaryConv2d(4, 4, 1), nn.ReLU()), BinaryLinear(4, 2))
    assert [(name, type(layer)) for name, layer in binary_layers(net)] == [("1.0", BinaryConv2d), ("2", BinaryLinear)]
