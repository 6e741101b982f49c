"""VGG-small's initial weights are those of the released codes."""

import pytest
import torch
from torch import nn

from onebit import models
from onebit.nn import BinaryConv2d


@pytest.mark.parametrize("full_precision", [False, True])
def test_initial_weights_are_those_of_the_released_codes(full_precision: bool) -> None:
    torch.manual_seed(0)
    net = models.create("vgg_small", full_precision=full_precision)
    kernels = [module.weight for module in net.modules() if isinstance(module, BinaryConv2d | nn.Conv2d)]
    assert [len(kernel) for kernel in kernels] == [128, 128, 256, 256, 512, 512]
    for kernel in kernels:
        assert kernel.std().item() == pytest.approx((2 / (9 * len(kernel))) ** 0.5, rel=0.05)
        assert abs(kernel.mean().item()) < 0.002
    assert net.head.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not net.head.bias.any()
