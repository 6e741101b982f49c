"""Random networks of binary layers: packed and PyTorch agree in every bit."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from onebit.nn import BinaryConv2d, BinaryLinear, RPReLU, RSign
from onebit.quantize import MagnitudeAwareSign, Sign, SwishSign
from tests.deploy.nets import ISAS, packed, randomize

SETTINGS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def between(draw: st.DrawFn, channels: int) -> list[nn.Module]:
    """What may stand between two binary convolutions."""
    options = {
        "nothing": [],
        "norm": [nn.BatchNorm2d(channels)],
        "hardtanh": [nn.BatchNorm2d(channels), nn.Hardtanh()],
        "prelu": [nn.BatchNorm2d(channels), nn.PReLU(draw(st.sampled_from([1, channels])))],
        "rprelu": [nn.BatchNorm2d(channels), RPReLU(channels), nn.BatchNorm2d(channels)],
        "relu": [nn.BatchNorm2d(channels), nn.ReLU(), nn.BatchNorm2d(channels), nn.Dropout(0.5)],
        "pool": [nn.MaxPool2d(2, 1, 1), nn.BatchNorm2d(channels), nn.Hardtanh()],
    }
    return options[draw(st.sampled_from(sorted(options)))]


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(draw(st.integers(0, 2**31)))
    channels = draw(st.sampled_from([1, 3, 8, 33]))
    x = torch.randn(2, channels, 7, 6)
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 3))):
        groups = draw(st.sampled_from([1, channels]))
        outputs = groups * draw(st.sampled_from([1, 2, 5])) if groups > 1 else draw(st.sampled_from([1, 4, 32, 35]))
        kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 3)]))
        dilation = draw(st.sampled_from([1, 2])) if max(kernel) > 1 else 1
        reach = [dilation * (k - 1) for k in kernel]
        padding = (reach[0], reach[1], draw(st.integers(0, reach[0])), reach[1])
        layers.append(
            BinaryConv2d(
                channels,
                outputs,
                kernel,
                draw(st.sampled_from([1, (2, 1)])),
                padding,
                dilation,
                groups,
                bias=draw(st.booleans()),
                padding_value=draw(st.sampled_from([0, 1, -1])),
                input_quantizer=draw(st.sampled_from([RSign(channels), Sign(), SwishSign()])),
                weight_quantizer=draw(st.sampled_from([Sign(), MagnitudeAwareSign()])),
            )
        )
        channels = outputs
        layers += between(draw, channels)
    last = BinaryConv2d(channels, 3, 1) if draw(st.booleans()) else None
    if last is not None:
        layers.append(last)
    else:
        with torch.no_grad():
            size = randomize(nn.Sequential(*layers), 0)(x)[0].numel()
        layers += [nn.Flatten(), BinaryLinear(size, 5, bias=draw(st.booleans()))]
    return randomize(nn.Sequential(*layers), draw(st.integers(0, 1000))), x


@pytest.mark.slow
@pytest.mark.parametrize("isa", ISAS)
@SETTINGS
@given(case=networks())
def test_bits_are_those_of_torch(tmp_path, isa: str, case: tuple[nn.Module, torch.Tensor]) -> None:
    torch.set_num_threads(1)
    net, x = case
    with torch.no_grad():
        expected = net(x)
    result = packed(net, tmp_path, x, isa)
    assert np.array_equal(result.reshape(expected.shape), expected.numpy())
