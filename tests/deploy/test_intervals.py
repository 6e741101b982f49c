"""Where bits flow and where floats."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from onebit import deploy
from onebit.format.graph import Binarize, ConvBinary, Graph, Pointwise
from onebit.nn import BinaryConv2d, RSign
from onebit.quantize import Sign
from tests.deploy.nets import ISAS, packed, randomize

X = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))


def kinds(graph: Graph) -> list[str]:
    return [
        f"{node.kind}{' to bits' if node.kind == 'conv_binary' and node.output.bits else ''}" for node in graph.nodes
    ]


def conv(**options: object) -> BinaryConv2d:
    torch.manual_seed(1)
    return BinaryConv2d(8, 8, 3, padding=1, **options)  # type: ignore[arg-type]


class Fork(nn.Module):
    """Two binary layers read one normalised convolution."""

    def __init__(self, first: nn.Module, second: nn.Module, shortcut: bool = False) -> None:
        super().__init__()
        self.conv, self.norm = conv(), nn.BatchNorm2d(8)
        self.left, self.right = conv(input_quantizer=first), conv(input_quantizer=second)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        y = self.left(x) + self.right(x)
        return y + x if self.shortcut else y


def shifted() -> RSign:
    sign = RSign(8)
    with torch.no_grad():
        sign.alpha.copy_(torch.linspace(-1, 1, 8))
    return sign


def check(net: nn.Module, tmp_path: Path) -> Graph:
    """Exact agreement with PyTorch on every instruction set."""
    randomize(net, 3)
    with torch.no_grad():
        expected = net(X).numpy()
    for isa in ISAS:
        assert np.abs(packed(net, tmp_path, X, isa) - expected).max() <= 1e-5 * np.abs(expected).max()
    return deploy.build(net, X)


def test_between_binary_layers_no_float_is_written(tmp_path: Path) -> None:
    net = nn.Sequential(conv(), nn.BatchNorm2d(8), nn.Hardtanh(), conv(), nn.PReLU(), nn.BatchNorm2d(8), conv())
    expected = ["binarize", "conv_binary to bits", "conv_binary to bits", "conv_binary"]
    assert kinds(check(net, tmp_path)) == expected


def test_two_layers_with_the_same_quantizer_share_the_bits(tmp_path: Path) -> None:
    graph = check(Fork(Sign(), Sign()), tmp_path)
    assert kinds(graph) == ["binarize", "conv_binary to bits", "conv_binary", "conv_binary"]
    left, right = graph.nodes[2:]
    assert left.inputs[0] is right.inputs[0]


def test_different_quantizers_read_the_floats_of_the_convolution(tmp_path: Path) -> None:
    graph = check(Fork(Sign(), shifted()), tmp_path)
    assert sorted(kinds(graph)) == sorted(["binarize"] * 3 + ["conv_binary"] * 3)
    assert not any(isinstance(node, Pointwise) for node in graph.nodes)  # the norm is in both thresholds


def test_a_shortcut_keeps_the_floats(tmp_path: Path) -> None:
    graph = check(Fork(Sign(), shifted(), shortcut=True), tmp_path)
    producers = [node for node in graph.nodes if isinstance(node, ConvBinary)]
    assert all(not node.output.bits for node in producers)
    assert producers[0].epilogue.scale is not None  # the norm is computed once, for the shortcut


def test_equal_thresholds_on_one_value_are_one_node() -> None:
    graph = deploy.build(Fork(Sign(), Sign(), shortcut=True).eval(), X)
    assert sum(isinstance(node, Binarize) for node in graph.nodes) == 2


def test_a_quantizer_that_stands_alone(tmp_path: Path) -> None:
    net = nn.Sequential(conv(), shifted(), conv(input_quantizer=nn.Identity()))
    assert kinds(check(net, tmp_path)) == ["binarize", "conv_binary to bits", "conv_binary"]


class Sharp(nn.Module):
    """+1 in a band, which the dot product crosses."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where((x > -3) & (x < 40.5), 1.0, -1.0)


def test_any_interval_on_the_dot_product_is_packed(tmp_path: Path) -> None:
    net = nn.Sequential(conv(), conv(input_quantizer=Sharp()))
    assert kinds(check(net, tmp_path)) == ["binarize", "conv_binary to bits", "conv_binary"]


class Bent(nn.Module):
    """Not affine, a channel; exported where only a quantiser reads it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sinh(x / 9)


def test_any_output_transform_in_front_of_a_quantizer(tmp_path: Path) -> None:
    first = conv()
    first.output_transform = Bent()
    net = nn.Sequential(first, nn.BatchNorm2d(8), conv())
    assert kinds(check(net, tmp_path)) == ["binarize", "conv_binary to bits", "conv_binary"]
