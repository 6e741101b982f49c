"""Layers of k-bit networks: real-valued layers whose operands pass through quantisers."""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional

from onebit.nn.binary_layer import BinaryLayer


class KBitConv2d(nn.Conv2d):
    """2-D convolution of a quantised input with a quantised weight, which are not binary.

        y = output_transform(conv(input_quantizer(x), weight_quantizer(weight)) + bias)

    Args:
        conv: a convolution; its settings and parameters are taken over. The parameters are shared, not copied.
        input_quantizer, weight_quantizer: from a tensor to one of the same shape.
        output_transform: follows the layer.

    Shapes: those of ``nn.Conv2d``.

    Reference: Fu et al., "CPT", ICLR 2021, arXiv 2101.09868, whose released code computes in this order.

    Example:
        >>> import torch
        >>> from onebit.quantize import UniformQuantizer, UniformWeightQuantizer
        >>> conv = nn.Conv2d(4, 8, 3, bias=False)
        >>> kbit = KBitConv2d(conv, UniformQuantizer(bits=3), UniformWeightQuantizer(bits=3))
        >>> kbit(torch.randn(2, 4, 6, 6)).shape, kbit.weight is conv.weight
        (torch.Size([2, 8, 4, 4]), True)
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        input_quantizer: nn.Module,
        weight_quantizer: nn.Module,
        output_transform: nn.Module | None = None,
    ) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            conv.bias is not None,
            conv.padding_mode,
            device="meta",  # the parameters are replaced, and no random number is drawn
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.input_quantizer, self.weight_quantizer = input_quantizer, weight_quantizer
        self.output_transform = output_transform or nn.Identity()
        self.train(conv.training)

    def forward(self, x: Tensor) -> Tensor:
        y = self._conv_forward(self.input_quantizer(x), self.weight_quantizer(self.weight), self.bias)
        return self.output_transform(y)


class KBitLinear(nn.Linear):
    """Dense layer of a quantised input with a quantised weight, which are not binary.

        y = output_transform(input_quantizer(x) weight_quantizer(weight)ᵀ + bias)

    Args:
        linear: a dense layer; its settings and parameters are taken over. The parameters are shared, not copied.
        input_quantizer, weight_quantizer: from a tensor to one of the same shape.
        output_transform: follows the layer.

    Shapes: those of ``nn.Linear``.

    Reference: Fu et al., "CPT", ICLR 2021, arXiv 2101.09868.

    Example:
        >>> import torch
        >>> from onebit.quantize import UniformQuantizer, UniformWeightQuantizer
        >>> kbit = KBitLinear(nn.Linear(4, 8), UniformQuantizer(bits=3), UniformWeightQuantizer(bits=3))
        >>> kbit(torch.randn(2, 4)).shape
        torch.Size([2, 8])
    """

    def __init__(
        self,
        linear: nn.Linear,
        input_quantizer: nn.Module,
        weight_quantizer: nn.Module,
        output_transform: nn.Module | None = None,
    ) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.input_quantizer, self.weight_quantizer = input_quantizer, weight_quantizer
        self.output_transform = output_transform or nn.Identity()
        self.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.linear(self.input_quantizer(x), self.weight_quantizer(self.weight), self.bias)
        return self.output_transform(y)


QuantizedLayer = BinaryLayer | KBitConv2d | KBitLinear
"""A layer whose operands are quantised."""


def quantized_layers(net: nn.Module) -> Iterator[tuple[str, QuantizedLayer]]:
    """The binary and the k-bit layers of a network with their names, in the order of ``net.named_modules()``.

    Each has ``weight``, ``input_quantizer``, ``weight_quantizer`` and ``output_transform``.

    Example:
        >>> from onebit.nn import BinaryLinear
        >>> [name for name, layer in quantized_layers(nn.Sequential(nn.ReLU(), BinaryLinear(4, 2)))]
        ['1']
    """
    return ((name, module) for name, module in net.named_modules() if isinstance(module, QuantizedLayer))
