"""ReActNet in its ResNet-18 form: Bi-Real-Net with learned thresholds and shifts.

A block is RSign, binary 3×3 convolution, BatchNorm, shortcut, RPReLU. Stem, shortcuts to a wider stage (2×2 mean, 1×1
convolution, BatchNorm) and head are Bi-Real-Net's. In the twin (``full_precision=True``) the ``nn.Conv2d`` has no sign
before it and so none of its thresholds; RPReLU stays and is the activation.

Reference: Liu et al., "ReActNet", ECCV 2020, arXiv 2003.03488, section 4, and its released PyTorch code, whose shifts
have the other sign (see :class:`onebit.nn.RSign`). The weights are quantised as in :mod:`onebit.models.birealnet`.
"""

from torch import Tensor, nn

from onebit.models.birealnet import BiRealNet, shortcut
from onebit.models.layers import conv3x3
from onebit.models.registry import register
from onebit.nn import RPReLU, RSign
from onebit.quantize import MagnitudeAwareSign


class ReActBlock(nn.Module):
    """One binary convolution with a learned threshold, BatchNorm, the shortcut and RPReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int, full_precision: bool) -> None:
        super().__init__()
        quantizers = {"input_quantizer": RSign(in_channels), "weight_quantizer": MagnitudeAwareSign()}
        self.conv = conv3x3(in_channels, channels, stride, full_precision, **quantizers)
        self.norm = nn.BatchNorm2d(channels)
        self.shortcut = shortcut(in_channels, channels, stride)
        self.activation = RPReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)) + self.shortcut(x))


@register
def reactnet18(num_classes: int, input_size: int = 224, full_precision: bool = False) -> BiRealNet:
    """ReActNet-18; ``input_size`` under 64 takes the stem for CIFAR."""
    return BiRealNet(ReActBlock, (4, 4, 4, 4), num_classes, input_size, full_precision)
