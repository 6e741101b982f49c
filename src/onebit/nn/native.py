"""Binary convolutions trained in integers on the CPU: an opt-in backend for :class:`~onebit.nn.BinaryConv2d`.

With activations a = ±1, weights w = ±1 and g = dL/dy, the three products of a training step are

    y = conv(a, w)          bits by bits: xor and popcount
    dL/da = conv^T(ĝ, w)    bytes by signs
    dL/dw = conv(a, ĝ)      bytes by signs, summed over samples and pixels

    ĝ = q s + min,  q in 0 … 2^b − 1,  s = (max − min) / (2^b − 1)

by the native engine's kernels, as sums of integers, which are exact. So y equals PyTorch's bit for bit, and a gradient
that is a sum of k terms differs from the convolution of ĝ in float64 by less than 2^-21 k max|ĝ|.

**ĝ** has the formula of :func:`~onebit.quantize.stochastic_quantize`. Its noise has 16 bits and is a function of the
element's index and of a seed from torch's generator: reproducible with any number of threads, but not the same random
numbers as in PyTorch. Where a method puts a :class:`~onebit.quantize.GradientQuantizer` right behind the product
(CycleBNN), b is its width and the backend does its work; over 8 bits PyTorch computes. Elsewhere b = 8: there the
backend changes the gradients, but not their expectation (up to 2^-16 of a step).

**Blocks.** Where a network declares the units of its blocks (:class:`~onebit.nn.Block`), the engine computes whole
units, with BatchNorm, residual and activation: see :mod:`onebit.nn.chain`. Elsewhere it computes the products.

**The sign.** An input quantiser that is an ``ApproxSign``, a ``Sign`` or an ``IdentitySign`` is not called, but
computed with the products: neither ±1 nor its gradient is ever written to memory as floats.

In evaluation a layer computes as without the backend.
"""

import atexit
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from onebit import _engine
from onebit.errors import OnebitError
from onebit.nn.binary_conv import BinaryConv2d
from onebit.nn.binary_layer import BinaryLayer, binary_layers
from onebit.nn.native_block import BITS, NativeBlock, unfit_convolution
from onebit.nn.unit import Block
from onebit.quantize import Estimator, GradientQuantizer, closed_form, quantize_gradient

Storage = Literal["bfloat16", "float32"]
_ESTIMATORS = (Estimator.IDENTITY, Estimator.CLIPPED, Estimator.QUADRATIC)  # that the products can have


@dataclass(frozen=True)
class NativeReport:
    """Which binary layers :func:`use_native` took over.

    Attributes:
        isa: instruction set of the kernels.
        threads: number of threads that compute.
        native: names of the layers that train natively.
        fused: those of them whose whole unit is computed natively.
        alone: for the others of them, why only their products are.
        reasons: for the layers that are not native, why PyTorch computes them.
    """

    isa: str
    threads: int
    native: tuple[str, ...]
    fused: tuple[str, ...]
    alone: dict[str, str]
    reasons: dict[str, str]

    def __str__(self) -> str:
        """One line."""
        total = len(self.native) + len(self.reasons)
        threads = f"{self.threads} thread" + "s" * (self.threads != 1)
        line = f"{len(self.native)} of {total} binary layers train natively ({self.isa}, {threads})"
        if self.fused:
            line += f", {len(self.fused)} of them fused"
        if self.alone:
            line += f"; by products alone {_listed(self.alone)}"
        return f"{line}; by PyTorch {_listed(self.reasons)}" if self.reasons else line


def _listed(reasons: dict[str, str]) -> str:
    why: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        why.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in why.items())


def use_native(
    net: nn.Module, threads: int | None = None, isa: str = "", storage: Storage = "bfloat16"
) -> NativeReport:
    """Lets the binary convolutions of a network train in integers, where the native engine can.

    Call it after a method is attached, when the layers have the quantisers that they will train with.

    Args:
        net: changed in place; no parameter and no entry of its state changes.
        threads: number of threads; that of torch if None.
        isa: instruction set, or "" for the engine's choice.
        storage: dtype of the values that fused units keep and pass on to each other.

    Returns:
        what became of each binary layer.

    Raises:
        OnebitError: fewer than one thread, or no such instruction set or storage here.

    Example:
        >>> from onebit.nn import BinaryLinear
        >>> net = nn.Sequential(BinaryConv2d(3, 8, 3), nn.Flatten(), BinaryLinear(8, 2))
        >>> print(use_native(net, threads=1, isa="portable"))
        1 of 2 binary layers train natively (portable, 1 thread); by products alone 0: in no block;
        by PyTorch 2: a dense layer
        >>> net(torch.randn(4, 3, 3, 3)).sum().backward()
    """
    threads = torch.get_num_threads() if threads is None else threads
    if threads < 1:
        raise OnebitError(f"use_native: {threads} threads", hint="give 1 or more")
    if isa and isa not in _engine.isas():
        raise OnebitError(
            f"use_native: no instruction set '{isa}' here", hint=f"choose from {', '.join(_engine.isas())}"
        )
    if storage not in get_args(Storage):
        raise OnebitError(f"use_native: storage is '{storage}'", hint=f"choose from {', '.join(get_args(Storage))}")
    found = _engine.training_isa(isa)
    if not found:
        reason = f"no kernels for training on {isa or _engine.isas()[0]}"
        return NativeReport("none", threads, (), (), {}, {name: reason for name, _ in binary_layers(net)})
    outside = _fuse(net, threads, found, getattr(torch, storage))
    fused, native, alone, reasons = [], [], {}, {}
    for name, layer in binary_layers(net):
        obstacle = _obstacle(layer)
        if obstacle is None and isinstance(layer, BinaryConv2d):
            layer.backend = NativeConv(threads, found, _take_gradient_quantizer(layer))
        why = outside.get(layer, "in no block")
        if why is None:
            fused.append(name)
        elif obstacle is None:
            alone[name] = why
        else:
            reasons[name] = obstacle
            continue
        native.append(name)
    return NativeReport(found, threads, tuple(native), tuple(fused), alone, reasons)


def _fuse(net: nn.Module, threads: int, isa: str, storage: torch.dtype) -> dict[nn.Module, str | None]:
    """Gives the blocks their backend; returns of each convolution in a block why it is not fused, None if it is."""
    outside: dict[nn.Module, str | None] = {}
    names = {module: name for name, module in net.named_modules() if isinstance(module, Block)}
    for block in names:
        backend = NativeBlock(names[block], threads, isa, storage)
        reasons = {unit.conv: backend.refusal(unit) for unit in block.units()}
        outside |= reasons
        if None in reasons.values():
            block.backend = backend
    for block, following, between in _successions(net):
        if isinstance(block.backend, NativeBlock) and isinstance(following.backend, NativeBlock):
            block.backend = replace(block.backend, following=following, between=between)
    return outside


def _successions(net: nn.Module) -> Iterator[tuple[Block, Block, tuple[nn.Module, ...]]]:
    """Blocks that follow each other in an ``nn.Sequential`` and what it nests, with the modules around one alone."""
    inner = {child for module in net.modules() if type(module) is nn.Sequential for child in module}
    for top in net.modules():
        if type(top) is nn.Sequential and top not in inner:
            leaves = list(_leaves(top, ()))
            places = [leaf for leaf, _ in leaves]
            for (block, above), (following, beyond) in pairwise(leaves):
                once = places.count(block) == places.count(following) == 1
                if once and isinstance(block, Block) and isinstance(following, Block):
                    yield block, following, tuple(set(above) ^ set(beyond))


def _leaves(module: nn.Module, above: tuple[nn.Module, ...]) -> Iterator[tuple[nn.Module, tuple[nn.Module, ...]]]:
    if type(module) is not nn.Sequential:
        yield module, above
        return
    for child in module:
        yield from _leaves(child, (*above, module))


def _obstacle(layer: BinaryLayer) -> str | None:
    """Why a layer cannot train natively."""
    if not isinstance(layer, BinaryConv2d):
        return "a dense layer"
    reason = unfit_convolution(layer)
    if reason is not None:
        return reason
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
        threads: number of threads that compute.
        isa: instruction set.
        gradient_quantizer: that of the product's gradient; None for 8 bits.
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
        form = closed_form(layer.input_quantizer)
        estimator = Estimator.IDENTITY
        if form is not None and form.threshold is None and form.estimator in _ESTIMATORS:
            estimator = form.estimator
        else:
            x = layer.input_quantizer(x)
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
    estimator: Estimator
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
        ctx.save_for_backward(x if call.estimator != Estimator.IDENTITY else None, signs, bits)
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
            int(call.estimator),
            *arrays[1:],
        )
        return dx, dw, None


def _sides(x: Tensor, weight: Tensor, geometry: tuple[Any, Any, Any]) -> tuple[int, ...]:
    """The engine's form of the shape."""
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
