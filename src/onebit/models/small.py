"""A small network for small grey images, which trains in seconds."""

from collections.abc import Sequence

from torch import Tensor, nn

from onebit.errors import OnebitError
from onebit.models.layers import conv3x3, pooled, real_conv
from onebit.models.registry import register
from onebit.nn import Block, PadChannels, RPReLU, Unit


class SmallBlock(Block):
    """One binary convolution with a shortcut, then RPReLU; ``widen`` halves the sides and doubles the channels."""

    def __init__(self, in_channels: int, widen: bool, full_precision: bool) -> None:
        super().__init__()
        channels = 2 * in_channels if widen else in_channels
        self.conv = conv3x3(in_channels, channels, 2 if widen else 1, full_precision)
        self.norm = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if widen:
            self.shortcut = nn.Sequential(nn.AvgPool2d(2), PadChannels(0, in_channels))
        self.activation = RPReLU(channels)

    def units(self) -> tuple[Unit, ...]:
        return (Unit(self.conv, self.norm, self.activation, source=0, shortcut=self.shortcut),)


class Small(nn.Module):
    """Real-valued 3×3 stem, binary blocks in stages of ``width``, ``2 width``, ... channels, mean, dense head.

    The sides halve from stage to stage until they are odd or under 8: 8 → 4, 28 → 14 → 7.

    Args:
        num_classes: number of logits.
        in_shape: (C, H, W) of the input.
        width: channels of the first stage.
        full_precision: builds the twin, with ``nn.Conv2d`` in place of the binary convolutions.

    Raises:
        OnebitError: sides under 4 or odd, or an ``in_shape`` of another length.
    """

    def __init__(self, num_classes: int, in_shape: Sequence[int], width: int, full_precision: bool) -> None:
        super().__init__()
        if len(in_shape) != 3 or min(in_shape[1:]) < 4 or in_shape[1] % 2 or in_shape[2] % 2:
            hint = "in_shape is (channels, height, width), with even sides from 4 on"
            raise OnebitError(f"model 'small' cannot take images of shape {tuple(in_shape)}", hint=hint)
        channels, height, side = in_shape
        self.input_shape = (channels, height, side)
        self.stem = nn.Sequential(real_conv(channels, width, 3), nn.BatchNorm2d(width))
        self.blocks = nn.Sequential(SmallBlock(width, False, full_precision))
        while min(height, side) >= 8 and not (height % 2 or side % 2):
            self.blocks.append(SmallBlock(width, True, full_precision))
            height, side, width = height // 2, side // 2, 2 * width
            self.blocks.append(SmallBlock(width, False, full_precision))
        self.pool = pooled()
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.pool(self.blocks(self.stem(x)))))


@register
def small(
    num_classes: int, in_shape: Sequence[int] = (1, 8, 8), width: int = 48, full_precision: bool = False
) -> Small:
    """A network of three to five binary convolutions for images such as digits (8×8) and MNIST (28×28)."""
    return Small(num_classes, in_shape, width, full_precision)
