"""ResNet-34 as published, with the names that torch hub's weights have: a teacher, or a plain network to binarise.

In the twin (``full_precision=True``) it is the published network. In the binary one every 3×3 convolution is binary
and Hardtanh stands for ReLU.

Reference: He et al., "Deep Residual Learning", CVPR 2016, arXiv 1512.03385.
"""

from torch import Tensor, nn

from onebit.errors import OnebitError
from onebit.models.layers import activation, conv3x3, real_conv
from onebit.models.registry import register
from onebit.nn import Block, Unit


class BasicBlock(Block):
    """Two convolutions with one shortcut over both; a shortcut to a wider stage is a 1×1 convolution of stride 2."""

    def __init__(self, in_channels: int, channels: int, stride: int, full_precision: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride, full_precision)
        self.bn1 = nn.BatchNorm2d(channels)
        self.activation1 = activation(full_precision)
        self.conv2 = conv3x3(channels, channels, 1, full_precision)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = nn.Sequential()
        if stride != 1:
            self.downsample = nn.Sequential(real_conv(in_channels, channels, 1, stride), nn.BatchNorm2d(channels))
        self.activation2 = activation(full_precision)

    def units(self) -> tuple[Unit, ...]:
        return (
            Unit(self.conv1, self.bn1, self.activation1),
            Unit(self.conv2, self.bn2, self.activation2, source=0, shortcut=self.downsample),
        )


class HeResNet(nn.Module):
    """7×7 stem with max-pool, stages of 3, 4, 6 and 3 blocks with 64 to 512 channels, mean, dense head.

    Args:
        num_classes: number of logits.
        input_size: side of the input, a multiple of 32.
        full_precision: builds the twin.

    Raises:
        OnebitError: another ``input_size``.
    """

    def __init__(self, num_classes: int, input_size: int, full_precision: bool) -> None:
        super().__init__()
        if input_size < 32 or input_size % 32:
            raise OnebitError(f"input_size is {input_size}", hint="take a multiple of 32, for instance 224")
        self.input_shape = (3, input_size, input_size)
        self.conv1 = real_conv(3, 64, 7, 2)
        self.bn1 = nn.BatchNorm2d(64)
        self.activation = activation(full_precision)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(64, 64, 3, full_precision)
        self.layer2 = _stage(64, 128, 4, full_precision)
        self.layer3 = _stage(128, 256, 6, full_precision)
        self.layer4 = _stage(256, 512, 3, full_precision)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.activation(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.head(self.flatten(self.avgpool(x)))


def _stage(in_channels: int, channels: int, depth: int, full_precision: bool) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, 1 if in_channels == channels else 2, full_precision)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1, full_precision) for _ in range(depth - 1)))


@register
def resnet34_he(num_classes: int, input_size: int = 224, full_precision: bool = False) -> HeResNet:
    """ResNet-34 as published, one shortcut for two convolutions."""
    return HeResNet(num_classes, input_size, full_precision)
