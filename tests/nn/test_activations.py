"""RSign, RPReLU and PadChannels against their formulas, transcribed in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from onebit.nn import PadChannels, RPReLU, RSign


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4, 4)])
def test_rsign(shape):
    rsign = RSign(3)
    nn.init.normal_(rsign.alpha)
    x = torch.randn(shape, requires_grad=True)
    incoming = torch.randn(shape)
    y = rsign(x)
    y.backward(incoming)
    alpha = rsign.alpha.detach().double().numpy().reshape(3, *[1] * (len(shape) - 2))
    shifted = x.detach().double().numpy() - alpha
    gradient = np.maximum(0, 2 - 2 * np.abs(shifted)) * incoming.double().numpy()
    np.testing.assert_array_equal(y.detach().numpy(), np.where(shifted >= 0, 1, -1))
    np.testing.assert_allclose(x.grad.numpy(), gradient, atol=1e-5)
    others = (0, *range(2, len(shape)))
    np.testing.assert_allclose(rsign.alpha.grad.numpy(), -gradient.sum(others), atol=1e-4)


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4, 4)])
def test_rprelu(shape):
    rprelu = RPReLU(3)
    for parameter in rprelu.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(shape, requires_grad=True)
    y = rprelu(x)
    y.sum().backward()
    per_channel = (3, *[1] * (len(shape) - 2))
    gamma, beta, zeta = (p.detach().double().numpy().reshape(per_channel) for p in rprelu.parameters())
    shifted = x.detach().double().numpy() - gamma
    np.testing.assert_allclose(y.detach().numpy(), np.where(shifted > 0, shifted, beta * shifted) + zeta, atol=1e-5)
    np.testing.assert_allclose(x.grad.numpy(), np.where(shifted > 0, 1, np.broadcast_to(beta, shape)), atol=1e-6)


def test_pad_channels():
    x = torch.randn(2, 3, 4, 5)
    y = PadChannels(1, 2)(x)
    assert y.shape == (2, 6, 4, 5)
    assert torch.equal(y[:, 1:4], x)
    assert not y[:, [0, 4, 5]].any()
