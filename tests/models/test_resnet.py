"""The two forms of ResNet-20 with a shortcut for each convolution, written out as their released codes compute them."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, hardtanh, pad

from onebit import models

pytestmark = pytest.mark.usefixtures("one_thread")


def every_second(x: Tensor) -> Tensor:
    return x[:, :, ::2, ::2]


def mean_of_four(x: Tensor) -> Tensor:
    return avg_pool2d(x, 2)


FORMS = {"resnet20_irnet": every_second, "resnet20_recu": mean_of_four}


def randomize(net: nn.Module) -> None:
    """BatchNorm that is nowhere the identity, so that Hardtanh clips and no operation can be left out unseen."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.uniform_(-1, 1)


@pytest.mark.parametrize("name", FORMS)
def test_each_convolution_has_a_shortcut_and_the_stem_hardtanh(name: str) -> None:
    torch.manual_seed(0)
    net = models.create(name).double()
    randomize(net)
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    x = hardtanh(net.stem[1](net.stem[0](images)))
    for stage in net.stages:
        for block in stage:
            skip = x
            if block.conv1.stride[0] == 2:
                zeros = block.conv1.out_channels // 4
                skip = pad(FORMS[name](x), (0, 0, 0, 0, zeros, zeros))
            y = hardtanh(block.norm1(block.conv1(x)) + skip)
            x = hardtanh(block.norm2(block.conv2(y)) + y)
    expected = net.head(net.norm(x.mean((2, 3))))
    torch.testing.assert_close(net(images), expected)


@pytest.mark.parametrize(
    ("name", "deviation"), [("resnet20_irnet", (2 / 64) ** 0.5), ("resnet20_recu", 1 / 192**0.5)]
)  # He's, PyTorch's
def test_the_dense_layer_starts_as_released(name: str, deviation: float) -> None:
    torch.manual_seed(0)
    heads = torch.stack([models.create(name).head.weight for _ in range(5)])
    assert heads.std().item() == pytest.approx(deviation, rel=0.05)
