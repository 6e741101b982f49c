"""The base of the binary layers: a latent weight, its quantisers, and the order in which they act."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from onebit.quantize import ApproxSign, Sign


class BinaryLayer(nn.Module, ABC):
    """Base of :class:`BinaryConv2d` and :class:`BinaryLinear`.

        y = output_transform(product(input_quantizer(x), weight_quantizer(weight)) + bias)

    The three are submodules, which a method may replace. In evaluation a binary weight ±α_c (one α per output channel)
    is split into sign and α_c: the product of ±1 by ±1 is an exact integer, and is multiplied by α_c once. The packed
    network does the same, so both give the same bits.

    Args:
        weight_shape: shape of the latent weight, output channels first.
        bias: adds a learned bias to each output channel.
        input_quantizer: for the input; :class:`~onebit.quantize.ApproxSign` if none.
        weight_quantizer: for the weight; :class:`~onebit.quantize.Sign` if none.
        device, dtype: of the parameters.
    """

    def __init__(
        self,
        weight_shape: tuple[int, ...],
        bias: bool,
        input_quantizer: nn.Module | None,
        weight_quantizer: nn.Module | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(weight_shape, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(weight_shape[0], device=device, dtype=dtype)) if bias else None
        self.input_quantizer = ApproxSign() if input_quantizer is None else input_quantizer
        self.weight_quantizer = Sign() if weight_quantizer is None else weight_quantizer
        self.output_transform: nn.Module = nn.Identity()
        nn.init.kaiming_normal_(self.weight)

    def quantized_weight(self) -> Tensor:
        """The weight that the layer multiplies with: the latent weight after its quantiser, in the same shape."""
        return self.weight_quantizer(self.weight)

    @abstractmethod
    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer's bilinear map of quantised input and quantised weight."""

    def training_product(self, x: Tensor) -> Tensor:
        """:meth:`product` of ``x`` after its quantiser and the quantised weight."""
        return self.product(self.input_quantizer(x), self.quantized_weight())

    def forward(self, x: Tensor) -> Tensor:
        if self.training or getattr(self.weight_quantizer, "precision", None) != 1:
            y = self.training_product(x)
        else:
            x, weight = self.input_quantizer(x), self.quantized_weight()
            alpha = weight.detach().abs().flatten(1).amax(1).clamp_min(torch.finfo(weight.dtype).tiny)
            signs = weight / alpha.view(-1, *[1] * (weight.dim() - 1))
            y = self.product(x, signs) * _per_channel(alpha, x)
        if self.bias is not None:
            y = y + _per_channel(self.bias, x)
        return self.output_transform(y)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.dim() - 2))


def binary_layers(net: nn.Module) -> Iterator[tuple[str, BinaryLayer]]:
    """The binary layers of a network with their names, in the order of ``net.named_modules()``.

    Example:
        >>> from onebit.nn import BinaryLinear
        >>> [name for name, layer in binary_layers(nn.Sequential(nn.ReLU(), BinaryLinear(4, 2)))]
        ['1']
    """
    return ((name, module) for name, module in net.named_modules() if isinstance(module, BinaryLayer))
