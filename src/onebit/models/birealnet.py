"""Bi-Real-Net: a real-valued shortcut past every binary convolution.

Reference: Liu et al., "Bi-Real Net", ECCV 2018, arXiv 1808.00278, and its released PyTorch code. The sign inside the
binary convolution is the only activation; in the twin (``full_precision=True``) a ReLU stands before the ``nn.Conv2d``.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from onebit.models.layers import conv3x3, pooled, real_conv, stem
from onebit.models.registry import register
from onebit.nn import Block, Unit
from onebit.quantize import ApproxSign, MagnitudeAwareSign


class BiRealBlock(Block):
    """One binary convolution, BatchNorm, and the shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int, full_precision: bool) -> None:
        super().__init__()
        if full_precision:
            self.conv: nn.Module = nn.Sequential(nn.ReLU(), conv3x3(in_channels, channels, stride, True))
        else:
            quantizers = {"input_quantizer": ApproxSign(), "weight_quantizer": MagnitudeAwareSign()}
            self.conv = conv3x3(in_channels, channels, stride, False, **quantizers)
        self.norm = nn.BatchNorm2d(channels)
        self.shortcut = shortcut(in_channels, channels, stride)

    def units(self) -> tuple[Unit, ...]:
        return (Unit(self.conv, self.norm, source=0, shortcut=self.shortcut),)


def shortcut(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """Identity; to a wider stage a 2×2 mean, a real-valued 1×1 convolution and BatchNorm."""
    if stride == 1:
        return nn.Sequential()
    return nn.Sequential(nn.AvgPool2d(2), real_conv(in_channels, channels, 1), nn.BatchNorm2d(channels))


class BiRealNet(nn.Module):
    """Stem, stages of 64, 128, 256 and 512 channels, mean, dense head.

    Args:
        block: maps (channels in, channels out, stride, full_precision) to a block of one binary convolution.
        depths: number of binary convolutions in each stage.
        num_classes: number of logits.
        input_size: side of the input.
        full_precision: builds the twin.
    """

    def __init__(
        self,
        block: Callable[[int, int, int, bool], nn.Module],
        depths: Sequence[int],
        num_classes: int,
        input_size: int,
        full_precision: bool,
    ) -> None:
        super().__init__()
        self.input_shape = (3, input_size, input_size)
        self.stem = stem(64, input_size, None)
        self.stages = nn.Sequential()
        channels = 64
        for stage, depth in enumerate(depths):
            blocks, width = nn.Sequential(), 64 << stage
            for index in range(depth):
                blocks.append(block(channels, width, 2 if stage and index == 0 else 1, full_precision))
                channels = width
            self.stages.append(blocks)
        self.pool = pooled()
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.stages(self.stem(x))))


@register
def birealnet18(num_classes: int, input_size: int = 224, full_precision: bool = False) -> BiRealNet:
    """Bi-Real-Net-18; ``input_size`` under 64 takes the stem for CIFAR."""
    return BiRealNet(BiRealBlock, (4, 4, 4, 4), num_classes, input_size, full_precision)


@register
def birealnet34(num_classes: int, input_size: int = 224, full_precision: bool = False) -> BiRealNet:
    """Bi-Real-Net-34; ``input_size`` under 64 takes the stem for CIFAR."""
    return BiRealNet(BiRealBlock, (6, 8, 12, 6), num_classes, input_size, full_precision)
