"""The binary dense layer."""

import math

import torch
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
        device, dtype: as in ``nn.Linear``.

    Shapes: input (..., in_features), output (..., out_features), ``weight`` (out_features, in_features). The quantisers
    and the output transform see (N, in_features) and (N, out_features).

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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__((out_features, in_features), bias, input_quantizer, weight_quantizer, device, dtype)
        self.in_features = in_features
        self.out_features = out_features

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 2:
            return super().forward(x)
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        return super().forward(rows).reshape(*x.shape[:-1], self.out_features)

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.linear(x, weight)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
