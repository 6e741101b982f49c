"""Layers of binary and k-bit networks, built from :mod:`onebit.quantize`."""

from onebit import _needs_torch  # noqa: F401  # its import is the check
from onebit.nn.binary_conv import BinaryConv2d
from onebit.nn.binary_layer import BinaryLayer, binary_layers
from onebit.nn.binary_linear import BinaryLinear
from onebit.nn.channel_scale import ChannelScale
from onebit.nn.conversion import binarize
from onebit.nn.kbit import KBitConv2d, KBitLinear, QuantizedLayer, quantized_layers
from onebit.nn.latent_sign import LatentSign, insert_latent_sign
from onebit.nn.native import NativeReport, use_native
from onebit.nn.pad_channels import PadChannels
from onebit.nn.rprelu import RPReLU
from onebit.nn.rsign import RSign
from onebit.nn.unit import Block, Unit

__all__ = [
    "BinaryConv2d",
    "BinaryLayer",
    "BinaryLinear",
    "Block",
    "ChannelScale",
    "KBitConv2d",
    "KBitLinear",
    "LatentSign",
    "NativeReport",
    "PadChannels",
    "QuantizedLayer",
    "RPReLU",
    "RSign",
    "Unit",
    "binarize",
    "binary_layers",
    "insert_latent_sign",
    "quantized_layers",
    "use_native",
]
