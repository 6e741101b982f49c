"""k-bit layers take over what they are made of."""

import pytest
import torch
from torch import nn

from onebit.nn import KBitConv2d, KBitLinear, binary_layers, quantized_layers

SETTINGS = [
    {"stride": 2, "padding": 1},
    {"groups": 4, "bias": False},
    {"padding": "same", "dilation": 2},
    {"padding": (1, 2), "padding_mode": "reflect"},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_without_quantisers_it_is_the_convolution(settings: dict) -> None:
    conv = nn.Conv2d(4, 8, 3, **settings)
    kbit = KBitConv2d(conv, nn.Identity(), nn.Identity())
    x = torch.randn(2, 4, 7, 9)
    assert torch.equal(kbit(x), conv(x))
    assert list(map(id, kbit.parameters())) == list(map(id, conv.parameters()))


def test_without_quantisers_it_is_the_dense_layer_in_its_mode() -> None:
    linear = nn.Linear(5, 3).eval()
    kbit = KBitLinear(linear, nn.Dropout(), nn.Identity())
    x = torch.randn(2, 5)
    assert torch.equal(kbit(x), linear(x))
    assert not kbit.input_quantizer.training


def test_k_bit_layers_are_quantised_and_not_binary() -> None:
    net = nn.Sequential(KBitLinear(nn.Linear(2, 2), nn.Identity(), nn.Identity()), nn.Linear(2, 2))
    assert [name for name, _ in quantized_layers(net)] == ["0"]
    assert list(binary_layers(net)) == []
