"""ReActNet: learned thresholds and shifts, in Bi-Real-Net's form and in MobileNet's.

**ReActNet-18, -34.** A block is RSign, binary 3×3 convolution, BatchNorm, shortcut, RPReLU. Stem, shortcuts to a wider
stage (2×2 mean, 1×1 convolution, BatchNorm) and head are Bi-Real-Net's.

**ReActNet-A, -B, -C.** MobileNet-v1 with ordinary 3×3 convolutions for depthwise ones. A block is RSign, binary 3×3
convolution, BatchNorm, shortcut (2×2 mean where the sides halve), RPReLU, then the same with a 1×1 convolution. Where
channels double, two 1×1 convolutions read the same input, each with its shortcut, and their outputs stand side by side:
one convolution with twice the outputs, and a shortcut that is there twice. B and C put real-valued convolutions in the
place of these: B in 4 groups, C whole.

In the twins (``full_precision=True``) the ``nn.Conv2d`` has no sign before it and so none of its thresholds; RPReLU
stays and is the activation.

**Departures.** In B the 4 groups are those of the one convolution with twice the outputs; no code of B and C is
released. Under 64 pixels the stem of A, B and C keeps the sides. Weights start by He's initialisation, in the released
code from U[0, 0.001) where they are binary.

Reference: Liu et al., "ReActNet", ECCV 2020, arXiv 2003.03488, sections 4 and 5, and its released PyTorch code, whose
shifts have the other sign (see :class:`onebit.nn.RSign`). The weights are quantised as in
:mod:`onebit.models.birealnet`.
"""

from typing import Any

from torch import Tensor, nn

from onebit.errors import OnebitError
from onebit.models.birealnet import BiRealNet, shortcut
from onebit.models.layers import conv3x3, pooled, real_conv
from onebit.models.registry import register
from onebit.nn import BinaryConv2d, Block, PadChannels, RPReLU, RSign, Unit
from onebit.quantize import MagnitudeAwareSign


class ReActBlock(Block):
    """One binary convolution with a learned threshold, BatchNorm, the shortcut and RPReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int, full_precision: bool) -> None:
        super().__init__()
        self.conv = conv3x3(in_channels, channels, stride, full_precision, **_quantizers(in_channels))
        self.norm = nn.BatchNorm2d(channels)
        self.shortcut = shortcut(in_channels, channels, stride)
        self.activation = RPReLU(channels)

    def units(self) -> tuple[Unit, ...]:
        return (Unit(self.conv, self.norm, self.activation, source=0, shortcut=self.shortcut),)


class MobileBlock(Block):
    """A 3×3 and a 1×1 convolution, each with BatchNorm, a shortcut and RPReLU.

    Args:
        in_channels: C.
        channels: C, or 2C.
        stride: 2 halves the sides.
        groups: those of a real-valued 1×1 convolution where the channels double; 0 for a binary one.
        full_precision: builds the twin.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, groups: int, full_precision: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, in_channels, stride, full_precision, **_quantizers(in_channels))
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.pool = nn.AvgPool2d(2) if stride == 2 else nn.Sequential()
        self.activation1 = RPReLU(in_channels)
        widens = channels > in_channels
        if full_precision or (widens and groups):
            self.conv2: nn.Module = real_conv(in_channels, channels, 1, groups=groups if widens and groups else 1)
        else:
            self.conv2 = BinaryConv2d(in_channels, channels, 1, **_quantizers(in_channels))
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = Twice(in_channels) if widens else nn.Sequential()
        self.activation2 = RPReLU(channels)

    def units(self) -> tuple[Unit, ...]:
        return (
            Unit(self.conv1, self.norm1, self.activation1, source=0, shortcut=self.pool),
            Unit(self.conv2, self.norm2, self.activation2, source=1, shortcut=self.shortcut),
        )


class Twice(nn.Module):
    """(N, C, H, W) to (N, 2C, H, W), with every channel twice; by sums with zeros, which devices can compute."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = PadChannels(0, channels)
        self.second = PadChannels(channels, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) + self.second(x)


class MobileReActNet(nn.Module):
    """Stem, 13 blocks, mean, dense head.

    Args:
        num_classes: number of logits.
        input_size: side of the input: a multiple of 32, or of 16 under 64.
        width: channels of the stem, a multiple of 4; the last block has 32 times as many.
        groups: see :class:`MobileBlock`.
        full_precision: builds the twin.

    Raises:
        OnebitError: another ``input_size`` or ``width``.
    """

    def __init__(self, num_classes: int, input_size: int, width: int, groups: int, full_precision: bool) -> None:
        super().__init__()
        stride = 2 if input_size >= 64 else 1
        if input_size < 16 or input_size % (16 * stride):
            raise OnebitError(f"input_size is {input_size}", hint="take 224, or a multiple of 32, or of 16 under 64")
        if width < 4 or width % 4:
            raise OnebitError(f"width is {width}", hint="take 32, or another multiple of 4")
        self.input_shape = (3, input_size, input_size)
        self.stem = nn.Sequential(real_conv(3, width, 3, stride), nn.BatchNorm2d(width))
        self.blocks = nn.Sequential(MobileBlock(width, 2 * width, 1, groups, full_precision))
        for factor, depth in ((4, 2), (8, 2), (16, 6), (32, 2)):
            for index in range(depth):
                channels = width * factor // (1 if index else 2)
                self.blocks.append(MobileBlock(channels, width * factor, 1 if index else 2, groups, full_precision))
        self.pool = pooled()
        self.head = nn.Linear(32 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.blocks(self.stem(x))))


def _quantizers(channels: int) -> dict[str, Any]:
    return {"input_quantizer": RSign(channels), "weight_quantizer": MagnitudeAwareSign()}


@register
def reactnet18(num_classes: int, input_size: int = 224, full_precision: bool = False) -> BiRealNet:
    """ReActNet-18; ``input_size`` under 64 takes the stem for CIFAR."""
    return BiRealNet(ReActBlock, (4, 4, 4, 4), num_classes, input_size, full_precision)


@register
def reactnet34(num_classes: int, input_size: int = 224, full_precision: bool = False) -> BiRealNet:
    """ReActNet-34; ``input_size`` under 64 takes the stem for CIFAR."""
    return BiRealNet(ReActBlock, (6, 8, 12, 6), num_classes, input_size, full_precision)


@register
def reactnet_a(
    num_classes: int, input_size: int = 224, width: int = 32, full_precision: bool = False
) -> MobileReActNet:
    """ReActNet-A: all but the first and the last layer are binary."""
    return MobileReActNet(num_classes, input_size, width, 0, full_precision)


@register
def reactnet_b(
    num_classes: int, input_size: int = 224, width: int = 32, full_precision: bool = False
) -> MobileReActNet:
    """ReActNet-B: real-valued 1×1 convolutions in 4 groups where channels double."""
    return MobileReActNet(num_classes, input_size, width, 4, full_precision)


@register
def reactnet_c(
    num_classes: int, input_size: int = 224, width: int = 32, full_precision: bool = False
) -> MobileReActNet:
    """ReActNet-C: real-valued 1×1 convolutions where channels double."""
    return MobileReActNet(num_classes, input_size, width, 1, full_precision)
