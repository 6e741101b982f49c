"""The binary dense layer."""

from torch import Tensor, nn
from torch.nn import functional

from onebit.nn.binary_layer import BinaryLayer


class BinaryLinear(BinaryLayer):
    """Dense layer of a binarised input with a binarised weight.

        y = output_transform(input_quantizer(x) · weight_quantizer(weight)ᵀ + bias)

    Args:
        in_features, out_features: as in ``nn.Linear``.
        bias: adds a learned bias to each output.
        input_quantizer: for the input; :class:`~onebit.quantize.ApproxSign` if none.
        weight_quantizer: for the weight; :class:`~onebit.quantize.Sign` if none.

    Shapes: input (N, in_features), output (N, out_features), ``weight`` (out_features, in_features).

    Reference: Hubara et al., "Binarized Neural Networks", NeurIPS 2016, arXiv 1602.02830.

    Example:
        >>> import torch
        >>> BinaryLinear(100, 10)(torch.randn(3, 100)).shape
        torch.Size([3, 10])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        *,
        input_quantizer: nn.Module | None = None,
        weight_quantizer: nn.Module | None = None,
    ) -> None:
        super().__init__((out_features, in_features), bias, input_quantizer, weight_quantizer)
        self.in_features = in_features
        self.out_features = out_features

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.linear(x, weight)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
