"""Units computed one behind the other by the native engine, as one step of autograd.

A unit is sign, binary convolution, scale, BatchNorm, residual and activation (:mod:`onebit.nn.unit`); its passes over
the samples are the engine's. Between two units nothing but what the backward pass needs is kept:

    y       16-bit integers, the products
    bits    the signs of the unit's input
    x       the unit's input in the storage type; not where only the next sign reads it, since y gives it again
    z       in place of a mask, in front of an RPReLU

Inputs and outputs are (N, C, H, W) in the ``channels_last`` layout; the engine sees them as NHWC, and bfloat16 as
int16. BatchNorm and its gradient are in closed form and in double precision, a few numbers per channel
(``native/src/training/batch_norm.h``).
"""

import atexit
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable

from onebit import _engine
from onebit.quantize import SignForm
from onebit.quantize.binary import Derivative
from onebit.quantize.uniform import step_size

# SampleScale without levels: the finest that float32 tells apart, over where the estimator is not 0
_FINE = (-1.5, 2.0**-20, 3 * 2.0**20)
OUTSIDE = -1
_STATE = 5  # rows that BatchNorm's forward pass hands to its backward pass

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Geometry = tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]


class Activation(IntEnum):
    """The engine's numbers."""

    NONE = 0
    HARDTANH = 1
    RPRELU = 2


class Operands(NamedTuple):
    """The tensors of a unit that autograd knows.

    Attributes:
        weight: (O, C, kh, kw), ±α_o, or the latent weight, whose signs are taken, perhaps times a constant α_o.
        scale: (O,), of the product, or None.
        gamma, beta: BatchNorm's (O,), or None.
        threshold: the sign's (C,), or None.
        shift, slope, rise: RPReLU's γ, β and ζ, (O,); None for 0.
        residual: (N, O, H', W') from outside the chain, or None.
    """

    weight: Tensor
    scale: Tensor | None = None
    gamma: Tensor | None = None
    beta: Tensor | None = None
    threshold: Tensor | None = None
    shift: Tensor | None = None
    slope: Tensor | None = None
    rise: Tensor | None = None
    residual: Tensor | None = None


class Pooling(NamedTuple):
    """A shortcut to a wider stage: means of ``side``×``side`` pixels, with zero channels around them."""

    side: int = 1
    before: int = 0
    after: int = 0

    def shape(self, of: Sequence[int]) -> tuple[int, ...]:
        """From (N, C, H, W)."""
        batch, channels, height, width = of
        return batch, self.before + channels + self.after, height // self.side, width // self.side


class Link(NamedTuple):
    """A unit of a chain.

    Attributes:
        geometry: kernel, stride, and the padding's top, left, bottom and right.
        signs: int32 (O, kh, kw, words), signs of the weight as the engine packs them.
        magnitude: float32 (O,), α_o of the weight; None if all are 1.
        derivative: the estimator of the weight's sign, if the weight is latent.
        sign: the sign of the unit's input.
        levels: number of levels of the gradient, less 1.
        norm: BatchNorm, with running statistics.
        activation: an :class:`Activation`.
        source: the tensor of the chain that is added: 0 is its input, i the output of its i-th unit; ``OUTSIDE`` for
            ``operands.residual``, None for none.
        pooling: applied to the source before it is added, or None.
    """

    geometry: Geometry
    signs: NDArray[np.int32]
    magnitude: Floats | None
    derivative: Derivative | None
    sign: SignForm
    levels: int
    norm: nn.BatchNorm2d | nn.SyncBatchNorm
    activation: Activation
    source: int | None = None
    pooling: Pooling | None = None

    def sides(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The engine's form of the shape, for an input (N, C, H, W)."""
        return _sides(self.geometry, len(self.signs), tuple(shape))


@lru_cache(4096)
def _sides(geometry: Geometry, outputs: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    kernel, stride, (top, left, bottom, right) = geometry
    batch, channels, *sides = shape
    paddings = (top + bottom, left + right)
    out = [(n + p - k) // s + 1 for n, p, k, s in zip(sides, paddings, kernel, stride, strict=True)]
    return (batch, *sides, channels, *out, outputs, *kernel, *stride, top, left)


@dataclass(frozen=True)
class Chain:
    """Units one behind the other.

    Args:
        links: at least one.
        threads: number of threads that compute.
        isa: instruction set.
        storage: ``torch.float32`` or ``torch.bfloat16``, dtype of the values that are kept.
        output: dtype of the result.
    """

    links: tuple[Link, ...]
    threads: int
    isa: str
    storage: torch.dtype
    output: torch.dtype

    def __call__(self, x: Tensor, operands: Sequence[Operands]) -> Tensor:
        """The last unit's output for the first one's input (N, C, H, W), float32 or bfloat16."""
        return _Function.apply(self, x, *(operand for each in operands for operand in each))

    @property
    def passes(self) -> "_engine.Fused":
        """The threads and their memory, shared by all chains."""
        return passes(self.threads, self.isa)

    @property
    def store(self) -> torch.dtype:
        """The storage type as the engine takes it."""
        return torch.int16 if self.storage == torch.bfloat16 else self.storage

    def is_inner(self, index: int) -> bool:
        """Whether nothing but the next unit's sign reads the output of a unit, so that its product alone is kept."""
        if index + 1 == len(self.links):
            return False
        link, sign = self.links[index], self.links[index + 1].sign
        plain = link.source is None and link.activation != Activation.RPRELU
        read = any(other.source == index + 1 for other in self.links)
        return plain and not read and sign.scale is None and sign.threshold is None


@cache
def passes(threads: int, isa: str) -> "_engine.Fused":
    """The engine's passes, with threads of their own."""
    return _engine.Fused(threads, isa)


atexit.register(passes.cache_clear)  # its threads end before the extension does


@dataclass
class _Step:
    """The numbers that the backward pass of a unit needs beside its tensors.

    Attributes:
        sides: the shape in the engine's form.
        count: values per channel, over the batch of all processes.
        epsilon: that of BatchNorm.
        state: that of BatchNorm, (5, O).
        coefficients: slope, offset and mean of y; mean and unbiased variance of the scaled product: (5, O).
        estimator: parameters of the estimator of the input's sign.
        threshold: that of the input's sign.
        activation: parameters of the activation.
        residual: dtype of a residual from outside.
    """

    sides: tuple[int, ...]
    count: int
    epsilon: float
    state: Doubles
    coefficients: Floats
    estimator: Floats | None
    threshold: Floats | None
    activation: Floats | None
    residual: torch.dtype | None


class _Kept(NamedTuple):
    """A unit's tensors for the backward pass; NHWC but the input x."""

    y: Tensor
    bits: Tensor
    x: Tensor | None
    samples: Tensor | None
    z: Tensor | None


class _Input(NamedTuple):
    """The input of a unit."""

    shape: tuple[int, ...]  # (N, C, H, W)
    bits: Tensor
    x: Tensor | None
    samples: Tensor | None = None
    estimator: Floats | None = None


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, chain: Chain, x: Tensor, *flat: Tensor | None) -> Tensor:
        operands = _per_unit(flat)
        given = x.detach().contiguous(memory_format=torch.channels_last)
        tensors: list[Tensor | None] = [given.to(chain.storage)]
        read = _enter(chain, given, tensors[0])
        kept: list[Tensor | None] = []
        ctx.steps = []
        for index, own in enumerate(operands):
            step, unit, following = _forward(chain, index, own, read, tensors)
            ctx.steps.append(step)
            kept += unit
            if following is not None:
                read = following
        result = tensors[-1]
        assert result is not None
        ctx.chain, ctx.dtype = chain, x.dtype
        ctx.save_for_backward(
            result if chain.links[-1].activation == Activation.HARDTANH else None,
            *(None if link.derivative is None else own.weight for link, own in zip(chain.links, operands, strict=True)),
            *kept,
        )
        return result.to(chain.output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        chain: Chain = ctx.chain
        count = len(chain.links)
        result, *saved = ctx.saved_tensors
        weights = saved[:count]
        kept = _per_unit(saved[count:], _Kept)
        wanted = _per_unit(ctx.needs_input_grad[2:])
        dz, sums = _leave(chain, ctx.steps[-1], kept[-1], gradient, result)
        beside: dict[int, Any] = {}  # the gradients that shortcuts bring to tensors of the chain
        found: list[Tensor | None] = []
        seeds = torch.randint(2**32, (count,)).tolist()
        for index, seed in zip(reversed(range(count)), seeds, strict=True):
            link, step = chain.links[index], ctx.steps[index]
            _engine.centre_sums(step.state, step.coefficients[2], sums)
            if link.source is not None and link.source != OUTSIDE:
                own, other = _spread(chain, index, ctx.steps, dz), beside.get(link.source)
                beside[link.source] = own if other is None else _array(_tensor(own) + _tensor(other))
            output = None
            if index or ctx.needs_input_grad[1] or wanted[0].threshold:
                output = np.empty(step.sides[:4], dz.dtype)
            dw, gradients, below = _backward(
                chain, index, seed, ctx.steps, kept, dz, sums, beside.pop(index, None), output, wanted[index].weight
            )
            weight = None if dw is None else _weight_gradient(chain, link, dw, weights[index], gradients[-1])
            found = [weight, *_gradients(wanted[index], gradients, below[4], step, dz), *found]
            if output is not None:
                dz, sums = output, below[:4]
        return (None, _tensor(dz).to(ctx.dtype) if ctx.needs_input_grad[1] else None, *found)


def _forward(
    chain: Chain, index: int, own: Operands, read: _Input, tensors: list[Tensor | None]
) -> tuple[_Step, _Kept, _Input | None]:
    """Computes a unit, whose output it adds to the chain's ``tensors``; returns the next one's input, too."""
    link = chain.links[index]
    sides = link.sides(read.shape)
    batch, height, width, channels = pixels = (sides[0], *sides[4:7])
    shape = (batch, channels, height, width)
    y, sums = torch.empty(pixels, dtype=torch.int16), np.empty((2, channels), np.int64)
    dots = y.numpy()
    chain.passes.convolve(sides, read.bits.numpy(), link.signs, dots, sums)
    count, state, coefficients = _normalized(link, own, sums, batch * height * width)
    parameters = _activation_parameters(link, own)
    beside = None if own.residual is None else own.residual.dtype
    step = _Step(
        sides, count, link.norm.eps, state, coefficients, read.estimator, _threshold(link.sign), parameters, beside
    )
    residual = None
    if own.residual is not None:
        residual = own.residual.detach().to(chain.storage).contiguous(memory_format=torch.channels_last)
    elif link.source is not None:
        residual = _pooled(chain, link.pooling, tensors[link.source])
    z = torch.empty(pixels, dtype=chain.store) if link.activation == Activation.RPRELU else None
    x = None if chain.is_inner(index) else _empty(shape, chain.storage)
    sign = chain.links[index + 1].sign if index + 1 < len(chain.links) else None
    bits = None if sign is None else _bits(shape)
    statistics = np.empty((batch, 4)) if sign is not None and sign.scale is not None else None
    chain.passes.normalize(
        dots,
        coefficients[0],
        coefficients[1],
        _array(residual),
        link.activation,
        parameters,
        None if z is None else z.numpy(),
        _array(x),
        None if sign is None else _threshold(sign),
        bits.numpy() if sign is not None and bits is not None and _is_plain(sign) else None,
        statistics,
    )
    tensors.append(x)
    kept = _Kept(y, read.bits, read.x, read.samples, z)
    if sign is None or bits is None:
        return step, kept, None
    if statistics is None:
        return step, kept, _Input(shape, bits, x, estimator=_parameters(sign))
    return step, kept, _scaled(chain, sign, x, x, bits, statistics)


def _backward(
    chain: Chain,
    index: int,
    seed: int,
    steps: Sequence[_Step],
    kept: Sequence[_Kept],
    dz: NDArray[Any],
    sums: Doubles,
    shortcut: NDArray[Any] | None,
    output: NDArray[Any] | None,
    weight: bool,
) -> tuple[NDArray[np.float32] | None, Floats, Doubles]:
    """From a unit's dz and its sums: the ``output``, which is dz of the unit in front, or dx.

    Returns dw; the gradients of the numbers per channel, as ``batch_norm_gradient`` has them; and the sums of the unit
    in front, with the threshold's gradient behind them.
    """
    link, step, own = chain.links[index], steps[index], kept[index]
    front, before, behind = (chain.links[index - 1], steps[index - 1], kept[index - 1]) if index else (None, None, None)
    channels, outputs = step.sides[3], step.sides[6]
    k, gradients = np.empty((3, outputs), np.float32), np.empty((7, outputs), np.float32)
    total = _over_processes(link.norm, sums[:2])
    _engine.batch_norm_gradient(step.state, step.count, step.epsilon, sums, total, link.magnitude, k, gradients)
    dw = np.empty((outputs, *step.sides[7:9], channels), np.float32) if weight else None
    below = np.zeros((5, channels))
    inner = before if own.x is None else None
    chain.passes.backward(
        step.sides,
        dz,
        own.y.numpy(),
        k,
        link.levels,
        seed,
        link.signs,
        own.bits.numpy(),
        dw,
        output,
        link.sign.estimator,
        step.estimator,
        _array(own.x),
        behind.y.numpy() if behind else None,
        inner.coefficients[0] if inner else None,
        inner.coefficients[1] if inner else None,
        step.threshold,
        None if own.samples is None else own.samples.numpy(),
        shortcut,
        front.activation if front else Activation.NONE,
        before.activation if before else None,
        behind.z.numpy() if behind and behind.z is not None else None,
        before.coefficients[2] if before else None,
        None if output is None else below,
    )
    return dw, gradients, below


def _pooled(chain: Chain, pooling: Pooling | None, x: Tensor | None) -> Tensor | None:
    """The tensor that a shortcut adds."""
    if pooling is None or x is None:
        return x
    result = _empty(pooling.shape(x.shape), x.dtype)
    chain.passes.shortcut(_array(x), pooling.side, pooling.before, _array(result))
    return result


def _spread(chain: Chain, index: int, steps: Sequence[_Step], dz: NDArray[Any]) -> NDArray[Any]:
    """The gradient of what the shortcut of a unit reads, from the unit's dz."""
    link = chain.links[index]
    if link.pooling is None:
        return dz
    assert link.source is not None
    result = np.empty(steps[link.source].sides[:4], dz.dtype)
    chain.passes.shortcut_gradient(dz, link.pooling.side, link.pooling.before, result)
    return result


def _enter(chain: Chain, given: Tensor, stored: Tensor | None) -> _Input:
    """The input of the first unit; its signs are those of ``given``, before it is rounded to ``stored``."""
    sign, bits = chain.links[0].sign, _bits(given.shape)
    if _is_plain(sign):
        chain.passes.signs(_array(given), _threshold(sign), False, bits.numpy())
    if sign.scale is None:
        return _Input(tuple(given.shape), bits, stored, estimator=_parameters(sign))
    statistics = np.empty((len(given), 4))
    chain.passes.statistics(_array(given), statistics)
    return _scaled(chain, sign, given, stored, bits, statistics)


def _leave(
    chain: Chain, step: _Step, own: _Kept, gradient: Tensor, result: Tensor | None
) -> tuple[NDArray[Any], Doubles]:
    """dz of the last unit and its sums, from the gradient of the chain's ``result``."""
    link = chain.links[-1]
    g = _array(gradient.to(chain.storage).contiguous(memory_format=torch.channels_last))
    dz = g if link.activation == Activation.NONE else np.empty_like(g)
    sums = np.empty((4, len(link.signs)))
    at = _array(result) if own.z is None else own.z.numpy()
    chain.passes.gradient(g, at, link.activation, step.activation, own.y.numpy(), step.coefficients[2], dz, sums)
    return dz, sums


def _scaled(
    chain: Chain, sign: SignForm, x: Tensor | None, stored: Tensor | None, bits: Tensor, statistics: Doubles
) -> _Input:
    """The input of a unit whose sign is of x / D_n."""
    assert sign.scale is not None
    assert x is not None
    scale, size = sign.scale, x[0].numel()
    deviation = np.sqrt(statistics[:, 1] / max(size - 1, 1) + scale.epsilon)
    samples = np.zeros((len(x), 4), np.float32)
    samples[:, 0] = deviation
    samples[:, 1] = statistics[:, 0] / size
    samples[:, 2] = 1 / (deviation**3 * max(size - 1, 1))
    estimator = _FINE
    if scale.bits is not None:
        d = torch.from_numpy(samples[:, 0].copy())
        lowest, highest = (torch.from_numpy(statistics[:, i]).float().div_(d) for i in (2, 3))
        minimum = lowest.min()
        extent = highest.max() - minimum
        if scale.follow is not None:
            scale.follow(minimum, extent, d)
        estimator = (float(minimum), float(step_size(scale.bits, extent)), 2.0**scale.bits - 1)
        thresholds = np.empty(len(x), np.float32)
        _engine.cyclic_thresholds(d.numpy(), *estimator[:2], scale.bits, thresholds)
        chain.passes.signs(_array(x), thresholds, True, bits.numpy())
    return _Input(tuple(x.shape), bits, stored, torch.from_numpy(samples), np.array(estimator, np.float32))


def _normalized(link: Link, operands: Operands, sums: NDArray[np.int64], count: int) -> tuple[int, Doubles, Floats]:
    """A step's count, state and coefficients; moves the running statistics."""
    norm, channels = link.norm, sums.shape[1]
    if _joins_processes(norm):  # integers: every process gets the same bits
        total = _over_processes(norm, np.append(sums, np.int64(count)))
        sums, count = total[:-1].reshape(2, -1), int(total[-1])
    state, coefficients = np.empty((_STATE, channels)), np.empty((5, channels), np.float32)
    scale, gamma, beta = (_values(each) for each in (operands.scale, operands.gamma, operands.beta))
    _engine.batch_norm(sums, count, link.magnitude, scale, gamma, beta, norm.eps, state, coefficients)
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.num_batches_tracked.add_(1)
    for running, new in ((norm.running_mean, coefficients[3]), (norm.running_var, coefficients[4])):
        assert running is not None
        running.lerp_(torch.from_numpy(new).to(running), norm.momentum)
    return count, state, coefficients


def _joins_processes(norm: nn.Module) -> bool:
    return isinstance(norm, nn.SyncBatchNorm) and distributed.is_initialized()


def _over_processes(norm: nn.Module, sums: NDArray[Any]) -> NDArray[Any]:
    """Sums over the processes that SyncBatchNorm joins."""
    if not _joins_processes(norm):
        return sums
    total = torch.from_numpy(np.ascontiguousarray(sums)).clone()
    distributed.all_reduce(total, group=norm.process_group)
    return total.numpy()


def _gradients(
    wanted: Operands, rows: Floats, threshold: Doubles, step: _Step, dz: NDArray[Any]
) -> tuple[Tensor | None, ...]:
    """The gradients of a unit's operands but the weight, from those of the numbers per channel."""
    scale, gamma, beta, shift, slope, rise, _ = rows
    each = (
        (wanted.scale, scale),
        (wanted.gamma, gamma),
        (wanted.beta, beta),
        (wanted.threshold, threshold),
        (wanted.shift, shift),
        (wanted.slope, slope),
        (wanted.rise, rise),
    )
    residual = None if step.residual is None else _tensor(dz).to(step.residual)
    return *(torch.from_numpy(row).float() if want else None for want, row in each), residual


def _weight_gradient(chain: Chain, link: Link, dw: Floats, weight: Tensor | None, along: Floats) -> Tensor:
    """The gradient of the weight from that of its signs; ``along`` the signs it is dL/dα_o, which is known exactly."""
    if link.magnitude is not None:
        chain.passes.along_signs(link.signs, link.magnitude, along, dw)
    if link.derivative is None:
        return _tensor(dw)
    assert weight is not None
    if link.magnitude is not None:  # a constant
        dw *= link.magnitude[:, None, None, None]
    return link.derivative(weight).mul_(_tensor(dw))


def _per_unit(flat: Sequence[Any], kind: Any = Operands) -> list[Any]:
    size = len(kind._fields)
    return [kind(*flat[i : i + size]) for i in range(0, len(flat), size)]


def _parameters(sign: SignForm) -> NDArray[np.float32] | None:
    return np.array(sign.parameters, np.float32) if sign.parameters else None


def _threshold(sign: SignForm) -> NDArray[np.float32] | None:
    return None if sign.threshold is None else sign.threshold.detach().numpy().copy()


def _activation_parameters(link: Link, operands: Operands) -> NDArray[np.float32] | None:
    if link.activation != Activation.RPRELU:
        return None
    rows = (operands.shift, operands.slope, operands.rise)
    zeros = torch.zeros(len(link.signs))
    return torch.stack([zeros if row is None else row.detach() for row in rows]).numpy()


def _values(operand: Tensor | None) -> Floats | None:
    return None if operand is None else np.ascontiguousarray(operand.detach().numpy())


def _is_plain(sign: SignForm) -> bool:
    """Whether no threshold needs a whole sample first."""
    return sign.scale is None or sign.scale.bits is None


def _bits(shape: Sequence[int]) -> Tensor:
    batch, channels, height, width = shape
    return torch.empty((batch, height, width, -(-channels // 32)), dtype=torch.int32)


def _empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    return torch.empty(tuple(shape), dtype=dtype, memory_format=torch.channels_last)


def _tensor(x: NDArray[Any]) -> Tensor:
    """The engine's NHWC as (N, C, H, W)."""
    found = torch.from_numpy(x.transpose(0, 3, 1, 2))
    return found.view(torch.bfloat16) if found.dtype == torch.int16 else found


def _array(x: Tensor | None) -> Any:
    """As the engine takes it: NHWC, bfloat16 as int16."""
    if x is None:
        return None
    return (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy().transpose(0, 2, 3, 1)
