"""The binary 2-D convolution."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from onebit.errors import OnebitError
from onebit.nn.binary_layer import BinaryLayer

Pair = int | tuple[int, int]


class BinaryConv2d(BinaryLayer):
    """2-D convolution of a binarised input with a binarised weight.

        y = output_transform(conv(pad(input_quantizer(x)), weight_quantizer(weight)) + bias)

    Args:
        in_channels, out_channels: as in ``nn.Conv2d``.
        kernel_size, stride, dilation: an int, or (vertical, horizontal).
        padding: an int, (vertical, horizontal), (top, left, bottom, right), "valid" or "same" as in ``nn.Conv2d``.
            ``self.padding`` always has four sides.
        groups: as in ``nn.Conv2d``; ``in_channels`` for a depthwise convolution.
        bias: adds a learned bias to each output channel.
        padding_value: fills the padding after binarisation: 0 contributes nothing, ±1 is a bit.
        input_quantizer: for the input; :class:`~onebit.quantize.ApproxSign` if none.
        weight_quantizer: for the weight; :class:`~onebit.quantize.Sign` if none.
        padding_mode: "zeros": the padding holds ``padding_value``.
        device, dtype: as in ``nn.Conv2d``.

    Shapes: input (N, C, H, W), output (N, O, H', W'), ``weight`` (O, C / groups, kh, kw); also one image (C, H, W).

    Raises:
        OnebitError: channels that ``groups`` does not divide, another padding value, or a padding of another form; in
            ``forward``, an input of other dimensions.

    Reference: Hubara et al., "Binarized Neural Networks", NeurIPS 2016, arXiv 1602.02830.

    Example:
        >>> import torch
        >>> conv = BinaryConv2d(16, 32, 3, stride=2, padding=1)
        >>> y = conv(torch.randn(2, 16, 8, 8))
        >>> y.shape
        torch.Size([2, 32, 4, 4])
        >>> bool((y == y.round()).all())  # sums of ±1
        True
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | tuple[int, int, int, int] | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = False,
        *,
        padding_value: float = 0.0,
        input_quantizer: nn.Module | None = None,
        weight_quantizer: nn.Module | None = None,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if padding_mode != "zeros":
            raise OnebitError(
                f"BinaryConv2d: padding_mode is {padding_mode!r}",
                hint='leave it "zeros", and pad the input in front of the layer (such as nn.ReflectionPad2d)',
            )
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise OnebitError(
                f"BinaryConv2d: {groups} groups do not divide {in_channels} input and {out_channels} output channels",
                hint="choose channels that are multiples of groups",
            )
        if padding_value not in (-1, 0, 1):
            raise OnebitError(f"BinaryConv2d: padding_value is {padding_value}", hint="a padded value is -1, 0 or 1")
        shape = (out_channels, in_channels // groups, *_pair(kernel_size))
        super().__init__(shape, bias, input_quantizer, weight_quantizer, device, dtype)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride)
        self.dilation = _pair(dilation)
        self.padding = _same(self) if padding == "same" else _sides(0 if padding == "valid" else padding)
        self.groups = groups
        self.padding_value = float(padding_value)
        self.backend: Callable[[BinaryConv2d, Tensor], Tensor] | None = None  # see onebit.nn.native

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 3:
            return super().forward(x[None])[0]
        if x.dim() != 4:
            raise OnebitError(
                f"BinaryConv2d: the input is {tuple(x.shape)}", hint="give images (N, C, H, W), or one (C, H, W)"
            )
        return super().forward(x)

    def training_product(self, x: Tensor) -> Tensor:
        return super().training_product(x) if self.backend is None else self.backend(self, x)

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        top, left, bottom, right = self.padding
        padding = (top, left)
        if self.padding_value != 0 or (top, left) != (bottom, right):
            x = functional.pad(x, (left, right, top, bottom), value=self.padding_value)
            padding = (0, 0)
        return functional.conv2d(x, weight, None, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}, "
            f"padding_value={self.padding_value:g}"
        )


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _same(conv: BinaryConv2d) -> tuple[int, int, int, int]:
    if conv.stride != (1, 1):
        raise OnebitError(f"BinaryConv2d: padding 'same' with stride {conv.stride}", hint="give numbers of pixels")
    total = [dilation * (side - 1) for dilation, side in zip(conv.dilation, conv.kernel_size, strict=True)]
    top, left = (pixels // 2 for pixels in total)
    return top, left, total[0] - top, total[1] - left


def _sides(padding: Pair | tuple[int, int, int, int] | str) -> tuple[int, int, int, int]:
    numbers: tuple[Any, ...] = (padding,) * 4 if isinstance(padding, int) else tuple(padding)
    sides = numbers * (2 if len(numbers) == 2 else 1)
    if len(sides) != 4 or not all(isinstance(side, int) and side >= 0 for side in sides):
        raise OnebitError(
            f"BinaryConv2d: padding is {padding!r}",
            hint='give an int, (vertical, horizontal) or (top, left, bottom, right), none negative, "same" or "valid"',
        )
    top, left, bottom, right = sides
    return top, left, bottom, right
