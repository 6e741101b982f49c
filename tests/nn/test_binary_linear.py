"""BinaryLinear against torch's dense layer on explicit signs, and the iterator over binary layers."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from onebit.nn import BinaryConv2d, BinaryLinear, binary_layers


@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 9), st.integers(1, 4), st.booleans(), st.booleans())
def test_against_torch(features, out, batch, bias, training):
    layer = BinaryLinear(features, out, bias).train(training)
    if bias:
        nn.init.normal_(layer.bias)
    x = torch.randn(batch, features)
    expected = functional.linear(torch.where(x >= 0, 1.0, -1.0), torch.where(layer.weight >= 0, 1.0, -1.0))
    assert torch.equal(layer(x), expected + layer.bias if bias else expected)


def test_binary_layers():
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Sequential(BinaryConv2d(4, 4, 1), nn.ReLU()), BinaryLinear(4, 2))
    assert [(name, type(layer)) for name, layer in binary_layers(net)] == [("1.0", BinaryConv2d), ("2", BinaryLinear)]
