"""Building blocks of the networks: the layers that differ between a binary network and its real-valued twin."""

from typing import Any

from torch import nn

from onebit.errors import OnebitError
from onebit.nn import BinaryConv2d


def conv3x3(in_channels: int, out_channels: int, stride: int, full_precision: bool, **quantizers: Any) -> nn.Module:
    """A 3×3 convolution with zero padding 1 and no bias; binary, or an ``nn.Conv2d`` in the twin."""
    if full_precision:
        return real_conv(in_channels, out_channels, 3, stride)
    return BinaryConv2d(in_channels, out_channels, 3, stride, 1, **quantizers)


def real_conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A real-valued convolution that keeps the size at stride 1, with He initialisation and no bias."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return conv


def activation(full_precision: bool) -> nn.Module:
    """Hardtanh, which keeps values where the sign passes gradients; ReLU in the twin, which has no sign."""
    return nn.ReLU() if full_precision else nn.Hardtanh()


def stem(channels: int, input_size: int, activation: nn.Module | None) -> nn.Sequential:
    """The first layers, in full precision: that of ImageNet (7×7 with stride 2, max-pool) from 64 pixels on, else that
    of CIFAR (3×3).

    Raises:
        OnebitError: an ``input_size`` that the network's strides do not divide.
    """
    large = input_size >= 64
    reduction = 32 if large else 8
    if input_size < reduction or input_size % reduction:
        raise OnebitError(
            f"input_size is {input_size}", hint=f"take a multiple of {reduction}, for instance {4 * reduction}"
        )
    layers: list[nn.Module] = [
        real_conv(3, channels, 7, 2) if large else real_conv(3, channels, 3),
        nn.BatchNorm2d(channels),
    ]
    if activation is not None:
        layers.append(activation)
    if large:
        layers.append(nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(*layers)


def pooled() -> nn.Sequential:
    """(N, C, H, W) to (N, C): the mean of each channel."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
