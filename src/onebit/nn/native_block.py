"""Blocks of units trained by the native engine: which units it takes, and which are left to their modules.

Neighbouring units that the engine takes are one chain (:mod:`onebit.nn.chain`). A chain ends where a tensor inside is
read by something else: a shortcut with modules of its own, which PyTorch computes, or a unit that the engine does not
take.
"""

import operator
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from onebit import _engine
from onebit.nn.binary_conv import BinaryConv2d
from onebit.nn.chain import OUTSIDE, Activation, Chain, Floats, Link, Operands, Pooling, passes
from onebit.nn.pad_channels import PadChannels
from onebit.nn.rprelu import RPReLU
from onebit.nn.unit import Block, Unit
from onebit.quantize import MagnitudeAwareSign, OutputForm, SignForm, closed_form, output_form
from onebit.quantize.binary import BinaryQuantizer, Derivative

BITS = 8
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_EMPTY = Pooling()


@dataclass
class _Plan:
    """Facts about a block's units that hold while their modules do not change.

    Attributes:
        units: those of the block.
        modules: all of their modules.
        state: that of the modules, see :func:`_state`.
        reasons: why the engine cannot take a unit, whatever the weights; None if it can.
        poolings: those of the shortcuts, see :func:`_pooling`.
        fitting: first and last unit and the input's shape of the chains that the engine takes.
    """

    units: tuple[Unit, ...]
    modules: tuple[nn.Module, ...]
    state: list[Any]
    reasons: list[str | None]
    poolings: list[Pooling | None]
    fitting: set[tuple[int, int, torch.Size]] = field(default_factory=set)

    @classmethod
    def of(cls, units: tuple[Unit, ...]) -> "_Plan":
        parts = [part for u in units for part in (u.conv, u.norm, u.activation, u.shortcut) if part is not None]
        modules = tuple(module for part in parts for module in part.modules())
        return cls(
            units,
            modules,
            _state(modules),
            [unfit(unit) or _unfit_now(unit) for unit in units],
            [_pooling(unit) for unit in units],
        )

    def holds(self, units: tuple[Unit, ...]) -> bool:
        """Whether the units, and everything that the engine reads from their modules, are unchanged."""
        state = _state(self.modules)
        same = len(state) == len(self.state) and all(map(operator.is_, state, self.state))
        return same and units == self.units


def _state(modules: Sequence[nn.Module]) -> list[Any]:
    """All attributes, parts and hooks of modules and the dtypes of their parameters, to be compared by identity."""
    state: list[Any] = []
    for module in modules:
        own = vars(module)
        state.append(type(module))
        state += own.values()
        state += own["_modules"].values()
        state += own["_buffers"].values()
        state += [len(own[hooks]) for hooks in _HOOKS]
        for parameter in own["_parameters"].values():
            state += (parameter, None if parameter is None else parameter.dtype)
    return state


@dataclass(frozen=True)
class NativeBlock:
    """The backend of a :class:`~onebit.nn.Block`.

    Args:
        name: name of the block.
        threads: number of threads that compute.
        isa: instruction set.
        storage: dtype of the values that are kept between units, and passed on to ``following``.
        following: the block that reads this one's output, and nothing else does; or None.
        between: modules around one of the two; their hooks would see the tensor between the blocks.
    """

    name: str
    threads: int
    isa: str
    storage: torch.dtype
    following: Block | None = None
    between: tuple[nn.Module, ...] = ()
    _said: set[str] = field(default_factory=set, repr=False, compare=False)
    _plans: list[_Plan] = field(default_factory=list, init=False, repr=False, compare=False)  # the last one

    @torch.no_grad()
    def refusal(self, unit: Unit) -> str | None:
        """Why the engine can never take a unit with the quantisers that it has."""
        return unfit(unit) or self._link(unit)[1]

    @torch._dynamo.disable
    def __call__(self, block: Block, x: Tensor) -> Tensor:
        units = block.units()
        plan = self._plan(units)
        reason = _unfit_input(x)
        links: list[tuple[Link, Operands] | None] = [None] * len(units)
        for index, unit in enumerate(units):
            why = reason or plan.reasons[index]
            if why is None:
                links[index], why = self._link(unit)
            if why is not None and isinstance(unit.conv, BinaryConv2d):
                self._say(block, unit, why)
        tensors: list[Tensor | None] = [x] + [None] * len(units)
        cuts = _cuts(plan, [link is not None for link in links])
        for start, end in pairwise(cuts):
            if links[start] is None or not self._fits(block, plan, links, start, end, tensors[start]):
                for index in range(start, end):
                    unit = units[index]
                    skip = None if unit.source is None else _plain(tensors[unit.source], unit)
                    tensors[index + 1] = unit(_plain(tensors[index], unit), skip)
                continue
            onward = self._hands_on(block) if end == len(units) else links[end] is not None
            tensors[end] = self._run(plan, links, start, end, tensors, onward)
        result = tensors[-1]
        assert result is not None
        return result

    def _plan(self, units: tuple[Unit, ...]) -> _Plan:
        if not self._plans or not self._plans[0].holds(units):
            self._plans[:] = [_Plan.of(units)]
        return self._plans[0]

    def _fits(
        self,
        block: Block,
        plan: _Plan,
        links: Sequence[tuple[Link, Operands] | None],
        start: int,
        end: int,
        given: Tensor | None,
    ) -> bool:
        """Whether the engine takes units start to end - 1 with this input's sides."""
        assert given is not None
        if (start, end, given.shape) in plan.fitting:
            return True
        shapes = [tuple(given.shape)]
        for index in range(start, end):
            link = links[index]
            assert link is not None
            sides = link[0].sides(shapes[-1])
            shape = (sides[0], sides[6], *sides[4:6])
            reason = _engine.unfit_for_fusing(sides) if min(shape) > 0 else "no output"
            if reason is None and shape[0] * shape[2] * shape[3] == 1:
                reason = "one value per channel"
            source, pooling = plan.units[index].source, plan.poolings[index]
            if reason is None and source is not None and source >= start and pooling is not None:
                reason = None if pooling.shape(shapes[source - start]) == shape else "a shortcut of another shape"
            shapes.append(shape)
            if reason is not None:
                self._say(block, plan.units[index], reason)
                return False
        plan.fitting.add((start, end, given.shape))
        return True

    def _run(
        self,
        plan: _Plan,
        links: Sequence[tuple[Link, Operands] | None],
        start: int,
        end: int,
        tensors: list[Tensor | None],
        onward: bool,
    ) -> Tensor:
        chain, operands = [], []
        for index in range(start, end):
            unit, link = plan.units[index], links[index]
            assert link is not None
            source, outside, pooling = None, None, None
            if unit.source is not None:
                source, pooling = unit.source - start, plan.poolings[index]
                if source < 0 or pooling is None:
                    outside = unit.residual(_plain(tensors[unit.source], unit))
                    source, pooling = OUTSIDE, None
            chain.append(link[0]._replace(source=source, pooling=None if pooling == _EMPTY else pooling))
            operands.append(link[1]._replace(residual=outside))
        output = self.storage if onward else torch.float32
        given = tensors[start]
        assert given is not None
        return Chain(tuple(chain), self.threads, self.isa, self.storage, output)(given, operands)

    def _link(self, unit: Unit) -> tuple[tuple[Link, Operands] | None, str | None]:
        """The unit as the engine takes it, or why it does not at the moment."""
        conv, norm = unit.conv, unit.norm
        assert isinstance(conv, BinaryConv2d)
        assert isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm)
        derivative = _sign_of(conv.weight_quantizer)
        weight = conv.weight if derivative else conv.quantized_weight()
        packed = self._pack(weight.detach(), conv.weight_quantizer, derivative)
        if packed is None:
            return None, "weights other than ±α of an output channel, α > 0"
        sign: SignForm = closed_form(conv.input_quantizer)
        form: OutputForm = output_form(conv.output_transform)  # type: ignore[assignment]
        signs, magnitude = packed
        if magnitude is not None and form.quantizer is not None and not form.of_product:
            return None, "a gradient's quantiser behind scaled weights"
        bits = BITS if form.quantizer is None else form.quantizer.bits
        kind, shift, slope, rise = _activation(unit.activation, conv.out_channels)  # type: ignore[misc]
        geometry = conv.kernel_size, conv.stride, conv.padding
        link = Link(geometry, signs, magnitude, derivative, sign, 2**bits - 1, norm, kind)
        return (link, Operands(weight, form.scale, norm.weight, norm.bias, sign.threshold, shift, slope, rise)), None

    def _pack(
        self, weight: Tensor, quantizer: nn.Module, derivative: Derivative | None
    ) -> tuple[NDArray[np.int32], Floats | None] | None:
        """The signs of weights (O, C, kh, kw) as the engine wants them, and α (O,), None if all are 1.

        None if the weights are not ±α with α > 0. With a ``derivative`` they are latent.
        """
        pixels = weight.contiguous(memory_format=torch.channels_last).numpy().transpose(0, 2, 3, 1)
        words = np.empty((*pixels.shape[:3], -(-pixels.shape[3] // 32)), np.int32)
        own = passes(self.threads, self.isa)
        if derivative is None:
            magnitude = np.empty(len(words), np.float32)
            if not own.pack(pixels, words, magnitude):
                return None
        else:
            own.signs(pixels, None, False, words)
            if type(quantizer) is not MagnitudeAwareSign:
                return words, None
            magnitude = quantizer.magnitude(weight).numpy().reshape(-1)
        minimum, maximum = magnitude.min(), magnitude.max()
        if minimum == maximum == 1:
            return words, None
        return (words, magnitude) if minimum > 0 and maximum < np.inf else None

    def _hands_on(self, block: Block) -> bool:
        """Whether only the next block sees the output."""
        following = self.following
        if following is None or not following.training or not isinstance(following.backend, NativeBlock):
            return False
        return not any(_hooked(module) for module in (block, following, *self.between))

    def _say(self, block: Block, unit: Unit, reason: str) -> None:
        line = f"{self.name}: {_name(block, unit.conv)} trains outside the fused block: {reason}"
        if line not in self._said:
            self._said.add(line)
            warnings.warn(line, stacklevel=2)


def unfit(unit: Unit) -> str | None:
    """Why the engine can never take a unit."""
    conv = unit.conv
    for module in (conv, unit.norm, unit.activation):
        if module is not None and parametrize.is_parametrized(module):
            return "a parametrization"
    if type(conv) is not BinaryConv2d:
        return "a real-valued convolution"
    reason = unfit_convolution(conv)
    if reason is not None:
        return reason
    if conv.bias is not None:
        return "a bias"
    sides = (1, 1, 1, conv.in_channels, 1, 1, conv.out_channels, *conv.kernel_size, *conv.stride, 0, 0)
    reason = _engine.unfit_for_fusing(sides)
    if reason is not None:
        return reason
    if closed_form(conv.input_quantizer) is None:
        return f"the input quantizer {type(conv.input_quantizer).__name__}"
    if output_form(conv.output_transform) is None:
        return f"the output transform {type(conv.output_transform).__name__}"
    norm = unit.norm
    if type(norm) not in (nn.BatchNorm2d, nn.SyncBatchNorm):
        return f"{type(norm).__name__} in place of BatchNorm"
    if norm.running_mean is None or norm.momentum is None:
        return "a BatchNorm without running statistics" if norm.momentum else "a BatchNorm with a cumulative average"
    if _activation(unit.activation, conv.out_channels) is None:
        return f"the activation {type(unit.activation).__name__}"
    return None


def unfit_convolution(conv: BinaryConv2d) -> str | None:
    """Why the engine has no kernels to train a convolution with."""
    if conv.padding_value != 0:
        return f"padding value {conv.padding_value:g}"
    if conv.groups != 1:
        return "groups"
    if conv.dilation != (1, 1):
        return "dilation"
    return None


def _unfit_input(x: Tensor) -> str | None:
    if x.device.type != "cpu":
        return f"an input on {x.device.type}"
    if x.dtype not in (torch.float32, torch.bfloat16):
        return f"an input of {x.dtype}"
    if x.dim() != 4 or not x.numel():
        return f"an input of shape {tuple(x.shape)}"
    return None


def _unfit_now(unit: Unit) -> str | None:
    """Why the engine cannot take a unit at the moment."""
    conv = unit.conv
    form = output_form(conv.output_transform)  # type: ignore[arg-type]
    if form is not None and form.quantizer is not None and form.quantizer.bits > BITS:
        return f"a gradient of more than {BITS} bits"
    modules = [conv, *conv.input_quantizer.modules(), *conv.output_transform.modules(), unit.norm]  # type: ignore[union-attr]
    if unit.activation is not None:
        modules.append(unit.activation)
    for module in modules:
        if not module.training:
            return f"{type(module).__name__} is not in training"
        if _hooked(module):
            return f"a hook of {type(module).__name__}"
        if "forward" in vars(module):
            return f"a forward of its own of {type(module).__name__}"
        for parameter in module.parameters(recurse=False):
            if parameter.dtype != torch.float32:
                return f"parameters of {parameter.dtype}"
    return None


def _hooked(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks)


def _pooling(unit: Unit) -> Pooling | None:
    """The shortcut, if it is the identity, or means or zero channels or both in this order."""
    shortcut = unit.shortcut
    if shortcut is None:
        return Pooling()
    if type(shortcut) is not nn.Sequential or any(_hooked(m) or "forward" in vars(m) for m in shortcut.modules()):
        return None
    side, before, after = 1, 0, 0
    modules: list[Any] = list(shortcut)
    if modules and type(modules[0]) is nn.AvgPool2d:
        pool = modules.pop(0)
        side = pool.kernel_size
        plain = type(side) is int and pool.stride in (side, (side, side)) and pool.padding in (0, (0, 0))
        if not plain or pool.ceil_mode or pool.divisor_override is not None:
            return None
    if modules and type(modules[0]) is PadChannels:
        padding = modules.pop(0)
        before, after = padding.before, padding.after
    return None if modules or before < 0 or after < 0 else Pooling(side, before, after)


def _activation(
    module: nn.Module | None, channels: int
) -> tuple[Activation, Tensor | None, Tensor | None, Tensor | None] | None:
    """The engine's kind, and RPReLU's parameters (C,)."""
    if module is None or type(module) is nn.Identity:
        return Activation.NONE, None, None, None
    if type(module) is nn.Hardtanh:
        return (Activation.HARDTANH, None, None, None) if (module.min_val, module.max_val) == (-1, 1) else None
    if type(module) is RPReLU:
        return Activation.RPRELU, module.gamma, module.beta, module.zeta
    if type(module) is nn.PReLU:
        return Activation.RPRELU, None, module.weight.expand(channels), None
    return None


def _sign_of(quantizer: nn.Module) -> Derivative | None:
    """The estimator of a quantiser that is a sign, perhaps times a constant magnitude, and nothing else; or None."""
    if not isinstance(quantizer, BinaryQuantizer):
        return None
    if closed_form(quantizer) is None and type(quantizer) is not MagnitudeAwareSign:
        return None
    return None if _hooked(quantizer) or "forward" in vars(quantizer) else quantizer.derivative


def _cuts(plan: _Plan, fused: Sequence[bool]) -> list[int]:
    """The tensors of a block at which chains begin and end, in order."""
    units = plan.units
    cuts = {0, len(units)}
    for index, unit in enumerate(units):
        if not fused[index]:
            cuts |= {index, index + 1}
        if unit.source is not None and not (fused[index] and plan.poolings[index] is not None):
            cuts.add(unit.source)
    while True:
        more = set()
        for index, unit in enumerate(units):
            start = max(cut for cut in cuts if cut <= index)
            if unit.source is not None and unit.source < start:
                more.add(unit.source)  # another chain's
        if more <= cuts:
            return sorted(cuts)
        cuts |= more


def _plain(x: Tensor | None, unit: Unit) -> Tensor:
    """``x`` as a unit's modules expect it: not in the storage type."""
    if x is None or torch.is_autocast_enabled("cpu"):
        return x  # type: ignore[return-value]
    parameter = next(unit.conv.parameters())
    return x.to(parameter.dtype) if x.dtype == torch.bfloat16 else x


def _name(block: Block, module: nn.Module) -> str:
    return next(name for name, other in block.named_modules() if other is module)
