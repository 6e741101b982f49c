"""Layers between convolutions disappear into epilogues, and the answer stays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from onebit import deploy
from onebit.errors import OnebitError
from onebit.nn import BinaryConv2d, PadChannels, RPReLU
from tests.deploy.nets import ISAS, packed, randomize

X = torch.randn(3, 4, 8, 6, generator=torch.Generator().manual_seed(0))


def check(net: nn.Module, folder: Path, kinds: list[str] | None = None) -> None:
    torch.manual_seed(0)
    randomize(net, 5)
    with torch.no_grad():
        expected = net(X).numpy()
    for isa in ISAS:
        result = packed(net, folder, X, isa).reshape(expected.shape)
        assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max()
    if kinds is not None:
        assert [node.kind for node in deploy.build(net, X).nodes] == kinds


@pytest.mark.parametrize(
    "after",
    [
        [nn.BatchNorm2d(5)],
        [nn.BatchNorm2d(5), nn.ReLU()],
        [nn.BatchNorm2d(5), nn.BatchNorm2d(5), nn.Hardtanh(), nn.Dropout2d(), nn.Identity()],
        [nn.PReLU(5)],
        [RPReLU(5)],
        [],
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_one_node_for_a_convolution_and_what_follows(after: list[nn.Module], binary: bool, tmp_path: Path) -> None:
    conv = BinaryConv2d(4, 5, 3, bias=True) if binary else nn.Conv2d(4, 5, 3)
    check(nn.Sequential(conv, *after), tmp_path, ["binarize", "conv_binary"] if binary else ["conv_float"])


@pytest.mark.parametrize(
    ("conv", "name"),
    [
        (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), groups=2), "groups"),
        (nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4), "depthwise"),
        (nn.Conv2d(4, 6, (3, 5), padding="same"), "same"),
        (nn.Conv2d(4, 6, 3, padding="valid", bias=False), "valid"),
    ],
)
def test_real_valued_convolutions(conv: nn.Module, name: str, tmp_path: Path) -> None:
    check(nn.Sequential(conv), tmp_path, ["conv_float"])


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.MaxPool2d((3, 2), (2, 3), (1, 0), ceil_mode=True),
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True),
        nn.AvgPool2d(3, 2, ceil_mode=True),
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d((4, 2)),
        PadChannels(1, 2),
    ],
    ids=str,
)
def test_pools(pool: nn.Module, tmp_path: Path) -> None:
    check(pool, tmp_path, None)


class Shortcut(nn.Module):
    """Activations on both sides of a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = BinaryConv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu, self.activation = nn.ReLU(), RPReLU(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        return self.activation(self.norm2(self.conv2(y)) + y)


def test_a_shortcut_goes_into_the_epilogue(tmp_path: Path) -> None:
    check(Shortcut(), tmp_path, ["conv_float", "binarize", "conv_binary"])


class Functions(nn.Module):
    """The same layers as functions and methods."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.conv(x)) + functional.hardtanh(x)
        y = torch.add(y, functional.max_pool2d(y, 3, 1, 1))
        y += functional.avg_pool2d(y, 3, stride=1, padding=1)
        y = functional.dropout(y, training=self.training)[:, :, ::2, ::3]
        y = functional.pad(y, (0, 0, 0, 0, 0, 2))
        return self.head(y.relu().mean((2, 3)).view(x.size(0), -1))


def test_functions_and_methods(tmp_path: Path) -> None:
    check(Functions(), tmp_path)


@pytest.mark.parametrize("flatten", [nn.Flatten(), nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.Dropout())])
def test_a_dense_layer_over_an_image(flatten: nn.Module, tmp_path: Path) -> None:
    check(nn.Sequential(flatten, nn.Linear(192, 7)), tmp_path, ["conv_float"])


def test_a_norm_of_each_position_has_no_operator_of_its_own() -> None:
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.ReLU(), nn.Linear(192, 7))
    with pytest.raises(OnebitError, match=r"'1' cannot be exported: it treats the positions of a channel differently"):
        deploy.build(randomize(net, 0), X)


def test_two_sums_keep_both(tmp_path: Path) -> None:
    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.left(x) + self.right(x)
            return self.norm(y + x + x) + (y + y)

    check(Sums(), tmp_path)
