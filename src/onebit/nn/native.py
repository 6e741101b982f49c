"""Binary convolutions trained in integers on the CPU: an opt-in backend for :class:`~onebit.nn.BinaryConv2d`.

With activations a = ±1, weights w = ±1 and g = dL/dy, the three products of a training step are

    y = conv(a, w)          bits by bits: xor and popcount
    dL/da = conv^T(ĝ, w)    bytes by signs
    dL/dw = conv(a, ĝ)      bytes by signs, summed over samples and pixels

    ĝ = q s + min,  q in 0 … 2^b − 1,  s = (max − min) / (2^b − 1)

by the native engine's kernels, as sums of integers, which are exact. So y equals PyTorch's bit for bit, and a gradient
that is a sum of k terms differs from the convolution of ĝ in float64 by less than 2^-21 k max|ĝ|.

**ĝ** has the formula of :func:`~onebit.quantize.stochastic_quantize`. Its noise has 16 bits and is a function of the
element's index and of a seed from torch's generator: reproducible, whatever the threads, but other draws than those of
PyTorch. Where a method puts a :class:`~onebit.quantize.GradientQuantizer` right behind the product (CycleBNN), b is its
width and the backend does its work; over 8 bits PyTorch computes. Elsewhere b = 8: there the backend changes the
gradients, whose expectation stays (up to 2^-16 of a step).

**The sign.** An input quantiser that is an ``ApproxSign``, a ``Sign`` or an ``IdentitySign`` is not called, but
computed with the products: neither ±1 nor its gradient is ever written to memory as floats.

In evaluation a layer computes as without the backend.
"""

import atexit
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from onebit.errors import OnebitError
from onebit.nn.binary_conv import BinaryConv2d
from onebit.nn.binary_layer import BinaryLayer, binary_layers
from onebit.quantize import ApproxSign, GradientQuantizer, IdentitySign, Sign, quantize_gradient
from onebit.runtime import _engine

BITS = 8
_NONE, _CLIPPED, _QUADRATIC = range(3)
_ESTIMATORS: dict[type[nn.Module], int] = {IdentitySign: _NONE, Sign: _CLIPPED, ApproxSign: _QUADRATIC}


@dataclass(frozen=True)
class NativeReport:
    """Which binary layers :func:`use_native` took over.

    Attributes:
        isa: instruction set of the kernels.
        threads: as many as compute.
        native: names of the layers that train natively.
        reasons: of the others, why PyTorch computes them.
    """

    isa: str
    threads: int
    native: tuple[str, ...]
    reasons: dict[str, str]

    def __str__(self) -> str:
        """One line."""
        total = len(self.native) + len(self.reasons)
        line = f"{len(self.native)} of {total} binary layers train natively ({self.isa}, {self.threads} threads)"
        why: dict[str, list[str]] = {}
        for name, reason in self.reasons.items():
            why.setdefault(reason, []).append(name)
        others = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in why.items())
        return f"{line}; by PyTorch {others}" if others else line


def use_native(net: nn.Module, threads: int | None = None, isa: str = "") -> NativeReport:
    """Lets the binary convolutions of a network train in integers, where the native engine can.

    Call it when the layers have the quantisers that they are to train with: after a method is attached.

    Args:
        net: changed in place; no parameter and no entry of its state changes.
        threads: that compute; torch's number if None.
        isa: instruction set, or "" for the engine's choice.

    Returns:
        what became of each binary layer.

    Raises:
        OnebitError: fewer than one thread, or no such instruction set here.

    Example:
        >>> from onebit.nn import BinaryLinear
        >>> net = nn.Sequential(BinaryConv2d(3, 8, 3), nn.Flatten(), BinaryLinear(8, 2))
        >>> print(use_native(net, threads=1, isa="portable"))
        1 of 2 binary layers train natively (portable, 1 threads); by PyTorch 2: a dense layer
        >>> net(torch.randn(4, 3, 3, 3)).sum().backward()
    """
    threads = torch.get_num_threads() if threads is None else threads
    if threads < 1:
        raise OnebitError(f"use_native: {threads} threads", hint="give 1 or more")
    if isa and isa not in _engine.isas():
        raise OnebitError(
            f"use_native: no instruction set '{isa}' here", hint=f"choose from {', '.join(_engine.isas())}"
        )
    found = _engine.training_isa(isa)
    reasons = {}
    native = []
    for name, layer in binary_layers(net):
        reason = _obstacle(layer) if found else f"no kernels for training on {isa or _engine.isas()[0]}"
        if found and reason is None and isinstance(layer, BinaryConv2d):
            layer.backend = NativeConv(threads, found, _take_gradient_quantizer(layer))
            native.append(name)
        else:
            reasons[name] = str(reason)
    return NativeReport(found or "none", threads, tuple(native), reasons)


def _obstacle(layer: BinaryLayer) -> str | None:
    """Why a layer cannot train natively."""
    if not isinstance(layer, BinaryConv2d):
        return "a dense layer"
    if layer.padding_value != 0:
        return f"padding value {layer.padding_value:g}"
    if layer.groups != 1:
        return "groups"
    if layer.dilation != (1, 1):
        return "dilation"
    if getattr(layer.input_quantizer, "precision", None) != 1:
        return "an input of more than one bit"
    with torch.no_grad():
        if not bool(layer.quantized_weight().abs().eq(1).all()):
            return "weights other than 1 and -1"
    sides = (1, 1, 1, layer.in_channels, 1, 1, layer.out_channels, *layer.kernel_size, *layer.stride, 0, 0)
    return _engine.unfit_for_training(sides)


def _take_gradient_quantizer(layer: BinaryConv2d) -> GradientQuantizer | None:
    """The quantiser that the gradient passes last before the product, which then lets it pass."""
    module = layer.output_transform
    while isinstance(module, nn.Sequential) and len(module):
        module = module[0]
    if layer.bias is not None or not isinstance(module, GradientQuantizer):
        return None
    module.delegated = True
    return module


@dataclass(frozen=True)
class NativeConv:
    """The product of a :class:`BinaryConv2d` in training; see the module's page.

    Args:
        threads: that compute.
        isa: instruction set.
        gradient_quantizer: of the product's gradient; None for 8 bits.
    """

    threads: int
    isa: str
    gradient_quantizer: GradientQuantizer | None = None

    def __call__(self, layer: BinaryConv2d, x: Tensor) -> Tensor:
        """``layer.product`` of the quantised ``x`` and weight; by PyTorch on another device, or while the gradient has
        more than 8 bits.

        Raises:
            OnebitError: a weight that is not ±1, or a batch whose sums could exceed 32 bits.
        """
        bits = BITS if self.gradient_quantizer is None else self.gradient_quantizer.bits
        if x.device.type != "cpu" or bits > BITS:
            y = layer.product(layer.input_quantizer(x), layer.quantized_weight())
            return y if self.gradient_quantizer is None else quantize_gradient(y, bits)
        weight = layer.quantized_weight()
        estimator = _ESTIMATORS.get(type(layer.input_quantizer))
        if estimator is None:
            estimator, x = _NONE, layer.input_quantizer(x)
        geometry = layer.kernel_size, layer.stride, layer.padding
        call = _Call(self, _sides(x, weight, geometry), estimator, levels=2**bits - 1)
        return _Products.apply(x.float(), weight.float(), call).to(weight.dtype)

    @property
    def products(self) -> _engine.Products:
        """The threads and their memory, shared by all layers."""
        return _products(self.threads, self.isa)


@cache
def _products(threads: int, isa: str) -> _engine.Products:
    return _engine.Products(threads, isa)


atexit.register(_products.cache_clear)  # its threads end before the extension does


@dataclass(frozen=True)
class _Call:
    conv: NativeConv
    sides: tuple[int, ...]
    estimator: int
    levels: int


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, call: _Call) -> Tensor:
        x, weight = _channels_last(x), _channels_last(weight)
        words = (x.shape[1] + 31) // 32
        signs = torch.empty((*_pixels(weight).shape[:3], words), dtype=torch.int32)
        bits = torch.empty((*_pixels(x).shape[:3], words), dtype=torch.int32)
        if not call.conv.products.pack(_pixels(weight).numpy(), signs.numpy()):
            raise OnebitError(
                "a binary layer's weights are not all 1 or -1", hint="train it without the native backend"
            )
        batch, _, _, _, height, width, channels = call.sides[:7]
        y = torch.empty((batch, channels, height, width), memory_format=torch.channels_last)
        call.conv.products.forward(call.sides, _pixels(x).numpy(), signs.numpy(), bits.numpy(), _pixels(y).numpy())
        ctx.save_for_backward(x if call.estimator != _NONE else None, signs, bits)
        ctx.call = call
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, signs, bits = ctx.saved_tensors
        call: _Call = ctx.call
        batch, height, width, in_channels, _, _, out_channels, *kernel = call.sides[:9]
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = torch.empty((batch, in_channels, height, width), memory_format=torch.channels_last)
        if ctx.needs_input_grad[1]:
            dw = torch.empty((out_channels, in_channels, *kernel), memory_format=torch.channels_last)
        seed = int(torch.randint(2**32, ()))
        arrays = [None if t is None else _pixels(t).numpy() for t in (x, dx, dw)]
        call.conv.products.backward(
            call.sides,
            _pixels(_channels_last(gradient)).numpy(),
            call.levels,
            seed,
            signs.numpy(),
            bits.numpy(),
            arrays[0],
            call.estimator,
            *arrays[1:],
        )
        return dx, dw, None


def _sides(x: Tensor, weight: Tensor, geometry: tuple[Any, Any, Any]) -> tuple[int, ...]:
    """What the engine calls the shape."""
    kernel, stride, (top, left, bottom, right) = geometry
    batch, channels, height, width = x.shape
    out = [
        (size + padding - k) // s + 1
        for size, padding, k, s in zip((height, width), (top + bottom, left + right), kernel, stride, strict=True)
    ]
    sides = (batch, height, width, channels, *out, len(weight), *kernel, *stride, top, left)
    reason = _engine.unfit_for_training(sides)
    if reason is not None:
        raise OnebitError(
            f"native training: {reason}", hint="take a smaller batch, or train without the native backend"
        )
    return sides


def _channels_last(x: Tensor) -> Tensor:
    return x.detach().float().contiguous(memory_format=torch.channels_last)


def _pixels(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)
