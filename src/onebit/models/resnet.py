"""Residual networks in the forms of the released codes of CycleBNN (arXiv 2410.00050), IR-Net (arXiv 1909.10788) and
ReCU (arXiv 2103.12369).

In the binary network every 3×3 convolution but the first is binary. In the twin (``full_precision=True``) it is an
``nn.Conv2d``, and ReLU stands for Hardtanh.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from onebit.models.layers import activation, conv3x3, pooled, real_conv, stem
from onebit.models.registry import register
from onebit.nn import Block, PadChannels, Unit


class CifarBlock(Block):
    """Two convolutions with one shortcut over both.

    A shortcut to a wider stage is a 2×2 mean with zero channels on both sides.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, full_precision: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride, full_precision)
        self.norm1 = nn.BatchNorm2d(channels)
        self.activation1 = activation(full_precision)
        self.conv2 = conv3x3(channels, channels, 1, full_precision)
        self.norm2 = nn.BatchNorm2d(channels)
        self.activation2 = activation(full_precision)
        self.shortcut = nn.Sequential() if stride == 1 else widened(nn.AvgPool2d(2), in_channels, channels)

    def units(self) -> tuple[Unit, ...]:
        return (
            Unit(self.conv1, self.norm1, self.activation1),
            Unit(self.conv2, self.norm2, self.activation2, source=0, shortcut=self.shortcut),
        )


def widened(halved: nn.Module, in_channels: int, channels: int) -> nn.Sequential:
    """A shortcut to a wider stage without weights: halved sides, and zero channels on both sides."""
    more = channels - in_channels
    return nn.Sequential(halved, PadChannels(more // 2, more - more // 2))


class ImageNetBlock(Block):
    """Two convolutions, each with a shortcut of its own.

    A shortcut to a wider stage is a real-valued 1×1 convolution of stride 2.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, full_precision: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride, full_precision)
        self.norm1 = nn.BatchNorm2d(channels)
        self.activation1 = activation(full_precision)
        self.conv2 = conv3x3(channels, channels, 1, full_precision)
        self.norm2 = nn.BatchNorm2d(channels)
        self.activation2 = activation(full_precision)
        self.shortcut = nn.Sequential() if stride == 1 else self.wider(in_channels, channels)

    def wider(self, in_channels: int, channels: int) -> nn.Sequential:
        """The shortcut to a wider stage."""
        return nn.Sequential(real_conv(in_channels, channels, 1, 2), nn.BatchNorm2d(channels))

    def units(self) -> tuple[Unit, ...]:
        return (
            Unit(self.conv1, self.norm1, self.activation1, source=0, shortcut=self.shortcut),
            Unit(self.conv2, self.norm2, self.activation2, source=1),
        )


class ReCUBlock(ImageNetBlock):
    """Two convolutions, each with a shortcut; to a wider stage a 2×2 mean with zero channels on both sides."""

    def wider(self, in_channels: int, channels: int) -> nn.Sequential:
        return widened(nn.AvgPool2d(2), in_channels, channels)


class IRNetBlock(ImageNetBlock):
    """Two convolutions, each with a shortcut; to a wider stage every second pixel, zero channels on both sides."""

    def wider(self, in_channels: int, channels: int) -> nn.Sequential:
        return widened(nn.AvgPool2d(1, stride=2), in_channels, channels)  # the mean of one pixel


class ResNet(nn.Module):
    """Stem, stages of residual blocks (each but the first halves the sides), mean, BatchNorm, dense head.

    Args:
        first: the stem.
        block: :class:`CifarBlock`, :class:`ImageNetBlock` or one of its forms.
        depths: number of blocks in each stage.
        widths: channels of each stage.
        num_classes: number of logits.
        input_size: side of the input.
        full_precision: builds the twin.
    """

    def __init__(
        self,
        first: nn.Module,
        block: type[CifarBlock] | type[ImageNetBlock],
        depths: Sequence[int],
        widths: Sequence[int],
        num_classes: int,
        input_size: int,
        full_precision: bool,
    ) -> None:
        super().__init__()
        self.input_shape = (3, input_size, input_size)
        self.stem = first
        self.stages = nn.Sequential()
        channels = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            blocks = nn.Sequential()
            for index in range(depth):
                blocks.append(block(channels, width, 2 if stage and index == 0 else 1, full_precision))
                channels = width
            self.stages.append(blocks)
        self.pool = pooled()
        self.norm = nn.BatchNorm1d(channels)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.pool(self.stages(self.stem(x)))))


def _cifar(depths: Sequence[int], widths: Sequence[int], num_classes: int, full_precision: bool) -> ResNet:
    first = stem(widths[0], 32, nn.ReLU() if full_precision else None)
    return ResNet(first, CifarBlock, depths, widths, num_classes, 32, full_precision)


def _resnet20(block: type[ImageNetBlock], num_classes: int, full_precision: bool) -> ResNet:
    first = stem(16, 32, activation(full_precision))
    return ResNet(first, block, (3, 3, 3), (16, 32, 64), num_classes, 32, full_precision)


def _imagenet(depths: Sequence[int], num_classes: int, input_size: int, full_precision: bool) -> ResNet:
    widths = (64, 128, 256, 512)
    first = stem(widths[0], input_size, activation(full_precision))
    net = ResNet(first, ImageNetBlock, depths, widths, num_classes, input_size, full_precision)
    if not full_precision:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1e-8)  # as released
    return net


@register
def resnet18_cifar(num_classes: int, full_precision: bool = False) -> ResNet:
    """ResNet-18 for 32×32 images, stages of 64, 128, 256 and 512 channels."""
    return _cifar((2, 2, 2, 2), (64, 128, 256, 512), num_classes, full_precision)


@register
def resnet20_cifar(num_classes: int, full_precision: bool = False) -> ResNet:
    """ResNet-20 for 32×32 images, stages of 16, 32 and 64 channels, a shortcut for two convolutions."""
    return _cifar((3, 3, 3), (16, 32, 64), num_classes, full_precision)


@register
def resnet20_irnet(num_classes: int, full_precision: bool = False) -> ResNet:
    """ResNet-20 for 32×32 images in IR-Net's form, a shortcut for each convolution."""
    net = _resnet20(IRNetBlock, num_classes, full_precision)
    nn.init.kaiming_normal_(net.head.weight)  # as released
    return net


@register
def resnet20_recu(num_classes: int, full_precision: bool = False) -> ResNet:
    """ResNet-20 for 32×32 images in ReCU's form, a shortcut for each convolution."""
    return _resnet20(ReCUBlock, num_classes, full_precision)


@register
def resnet34_cifar(num_classes: int, full_precision: bool = False) -> ResNet:
    """ResNet-34 for 32×32 images, stages of 64, 128, 256 and 512 channels."""
    return _cifar((3, 4, 6, 3), (64, 128, 256, 512), num_classes, full_precision)


@register
def resnet18_imagenet(num_classes: int, input_size: int = 224, full_precision: bool = False) -> ResNet:
    """ResNet-18 for ImageNet, a shortcut for each convolution; ``input_size`` under 64 takes the stem for CIFAR."""
    return _imagenet((2, 2, 2, 2), num_classes, input_size, full_precision)


@register
def resnet34_imagenet(num_classes: int, input_size: int = 224, full_precision: bool = False) -> ResNet:
    """ResNet-34 for ImageNet, a shortcut for each convolution; ``input_size`` under 64 takes the stem for CIFAR."""
    return _imagenet((3, 4, 6, 3), num_classes, input_size, full_precision)
