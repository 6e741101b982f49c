"""The passes of a fused unit in plain float64: what ``_engine.Fused`` computes, but for its noise and its rounding."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

Array = NDArray[Any]
NONE, HARDTANH, RPRELU = range(3)
IDENTITY, CLIPPED, QUADRATIC, TANH, SWISH, STAIRCASE = range(6)


class Fused:
    """See ``native/src/training/unit.h`` for the arguments."""

    def __init__(self, threads: int = 1, isa: str = "") -> None:
        self.isa = "oracle"

    def pack(self, weight: Array, bits: Array, magnitude: Array) -> bool:
        bits[...] = _packed(~(weight >= 0))
        flat = np.abs(weight).reshape(len(weight), -1)
        magnitude[...] = flat[:, 0]
        return bool((flat == flat[:, :1]).all())

    def along_signs(self, bits: Array, magnitude: Array, exact: Array, gradient: Array) -> None:
        signs = _signs(bits, gradient.shape[3])
        each = gradient / magnitude.astype(np.float64)[:, None, None, None]
        error = (exact - (each * signs).sum((1, 2, 3))) / each[0].size
        gradient[...] = each + signs * error[:, None, None, None]

    def signs(self, x: Array, threshold: Array | None, per_sample: bool, bits: Array) -> None:
        t = np.zeros(1) if threshold is None else threshold.astype(np.float64)
        bits[...] = _packed(~(_values(x) >= (t[:, None, None, None] if per_sample else t)))

    def statistics(self, x: Array, statistics: Array) -> None:
        statistics[...] = _statistics(_values(x))

    def convolve(self, shape: tuple[int, ...], bits: Array, weight: Array, y: Array, sums: Array) -> None:
        a, w = _signs(bits, shape[3]), _signs(weight, shape[3])
        found = functional.conv2d(_padded(_nchw(a), shape), _nchw(w), stride=shape[9:11])
        y[...] = _nhwc(found)
        wide = y.astype(np.int64)
        sums[...] = wide.sum((0, 1, 2)), (wide * wide).sum((0, 1, 2))

    def normalize(
        self,
        y: Array,
        slope: Array,
        offset: Array,
        residual: Array | None,
        activation: int,
        parameters: Array | None,
        z: Array | None,
        x: Array | None,
        threshold: Array | None,
        bits: Array | None,
        statistics: Array | None,
    ) -> None:
        before = y * slope.astype(np.float64) + offset
        if residual is not None:
            before = before + _values(residual)
        after = _activated(before, activation, parameters)
        if z is not None:
            _store(before, z)
        if x is not None:
            _store(after, x)
            if activation == HARDTANH:  # rounding must not close the mask
                inside = np.abs(before) < 1
                largest = 1 - 2.0 ** (-8 if x.dtype == np.int16 else -24)
                _store(np.where(inside, np.clip(_values(x), -largest, largest), _values(x)), x)
        if bits is not None:
            bits[...] = _packed(~(after.astype(np.float32) >= (0 if threshold is None else threshold)))
        if statistics is not None:
            statistics[...] = _statistics(after if x is None else _values(x))

    def shortcut(self, x: Array, side: int, before: int, output: Array) -> None:
        means = _nhwc(functional.avg_pool2d(_nchw(_values(x)), side))
        wide = np.zeros(output.shape)
        wide[..., before : before + means.shape[3]] = means
        _store(wide, output)

    def shortcut_gradient(self, gradient: Array, side: int, before: int, x: Array) -> None:
        each = _values(gradient)[..., before : before + x.shape[3]] / side**2
        spread = np.zeros(x.shape)
        rows, columns = (side * length for length in each.shape[1:3])
        spread[:, :rows, :columns] = each.repeat(side, 1).repeat(side, 2)
        _store(spread, x)

    def gradient(
        self,
        g: Array,
        x: Array | None,
        activation: int,
        parameters: Array | None,
        y: Array,
        mean: Array,
        dz: Array,
        sums: Array,
    ) -> None:
        gradient = _values(g)
        passed = gradient if activation == NONE else gradient * _slope(_values(x), activation, parameters)
        if dz is not g:
            _store(passed, dz)
        sums[...] = _sums(_values(dz), gradient, y, mean, x, activation, parameters)

    def backward(
        self,
        shape: tuple[int, ...],
        dz: Array,
        y: Array,
        k: Array,
        levels: int,
        seed: int,
        weight: Array,
        bits: Array,
        dw: Array | None,
        output: Array | None,
        estimator: int,
        estimator_parameters: Array | None,
        source: Array | None,
        front_y: Array | None,
        front_slope: Array | None,
        front_offset: Array | None,
        threshold: Array | None,
        samples: Array | None,
        shortcut: Array | None,
        activation: int,
        parameters: Array | None,
        front_z: Array | None,
        front_mean: Array | None,
        sums: Array | None,
    ) -> None:
        exact = k[0] * _values(dz) + k[1] * y.astype(np.float64) + k[2]
        if not np.isfinite(exact).all():
            for result in (dw, output, sums):
                if result is not None:
                    _store(np.full(result.shape, np.nan), result)
            return
        g = _nchw(self.quantize(exact, levels, seed))
        batch, in_h, in_w, in_c, _, _, out_c, kernel_h, kernel_w, *stride, _, _ = shape
        inputs = _padded(_nchw(_signs(bits, in_c)), shape)
        if dw is not None:
            dw[...] = _nhwc(conv2d_weight(inputs, (out_c, in_c, kernel_h, kernel_w), g, stride))
        if output is None:
            return
        d = _nhwc(_cropped(conv2d_input(inputs.shape, _nchw(_signs(weight, in_c)), g, stride), shape))
        if source is not None:
            x = _values(source)
        elif front_y is not None and front_slope is not None:
            x = _activated(front_y * front_slope.astype(np.float64) + front_offset, activation, parameters)
        else:
            x = np.zeros((batch, in_h, in_w, in_c))
        u = x if threshold is None else x - threshold
        if samples is None:
            d = d * _derivative(u, estimator, estimator_parameters)
            below = -d.sum((0, 1, 2))
        else:
            scale, mean, share, _ = (column[:, None, None, None] for column in samples.T)
            minimum, step, highest = estimator_parameters  # type: ignore[misc]
            # in float32, as PyTorch has it: on a tie it decides
            level = np.rint(np.clip((x.astype(np.float32) / scale - minimum) / step, 0, highest)) * step + minimum
            d = d * np.maximum(0, 2 - 2 * np.abs(level))
            d = d / scale - (x - mean) * share * (d * x).sum((1, 2, 3), keepdims=True)
            below = np.zeros(in_c)
        if shortcut is not None:
            d = d + _values(shortcut)
        if activation == NONE:
            passed = d
        elif activation == HARDTANH:
            passed = d * (np.abs(x) < 1)
        else:
            passed = d * _slope(_values(front_z), activation, parameters)
        _store(passed, output)
        if sums is None:
            return
        sums[...] = 0
        sums[4] = below
        if front_y is not None:
            sums[:4] = _sums(_values(output), d, front_y, front_mean, front_z, activation, parameters)

    def quantize(self, g: Array, levels: int, seed: int) -> Array:
        """ĝ, by noise of its own."""
        step = max((g.max() - g.min()) / levels, np.finfo(np.float32).tiny)
        noise = np.random.default_rng(seed).random(g.shape)
        return np.minimum(np.floor((g - g.min()) / step + noise), levels) * step + g.min()


class Exact(Fused):
    """Gradients without levels."""

    def quantize(self, g: Array, levels: int, seed: int) -> Array:
        return g


def cyclic_thresholds(deviation: Array, minimum: float, step: float, bits: int, threshold: Array) -> None:
    """The least float of each sample whose b-bit value is not negative, by bisection over all floats."""
    low = np.full(len(deviation), _ordered(np.float32(-np.inf)), np.int64)
    high = np.full(len(deviation), _ordered(np.float32(np.inf)), np.int64)
    while (high - low > 1).any():  # the sign is + at high, - at low
        middle = (low + high) // 2
        positive = _cyclic_sign(_float(middle), deviation, minimum, step, bits)
        low, high = np.where(positive, low, middle), np.where(positive, middle, high)
    threshold[...] = _float(high)


def _cyclic_sign(x: Array, deviation: Array, minimum: float, step: float, bits: int) -> Array:
    """As PyTorch has it, in float32."""
    low, width = np.float32(minimum), np.float32(step)
    level = np.rint(np.clip((x / deviation - low) / width, np.float32(0), np.float32(2**bits - 1)))
    return level * width + low >= 0


def _ordered(value: np.float32) -> int:
    """Floats as integers in their order."""
    bits = int(np.float32(value).view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def _float(ordered: Array) -> Array:
    bits = np.where(ordered >= 0, ordered, -ordered | 0x80000000)
    return bits.astype(np.uint32).view(np.float32)


def _activated(z: Array, activation: int, parameters: Array | None) -> Array:
    if activation == HARDTANH:
        return np.clip(z, -1, 1)
    if activation == RPRELU:
        gamma, beta, zeta = parameters.astype(np.float64)  # type: ignore[union-attr]
        return np.where(z > gamma, z - gamma, beta * (z - gamma)) + zeta
    return z


def _slope(x: Array, activation: int, parameters: Array | None) -> Array:
    """The activation's derivative: from its output for Hardtanh, from its input for RPReLU."""
    if activation == HARDTANH:
        return np.abs(x) < 1
    gamma, beta, _ = parameters.astype(np.float64)  # type: ignore[union-attr]
    return np.where(x > gamma, 1, beta)


def _sums(
    dz: Array, g: Array, y: Array, mean: Array | None, z: Array | None, activation: int, parameters: Array | None
) -> Array:
    sums = np.zeros((4, dz.shape[-1]))
    sums[0] = dz.sum((0, 1, 2))
    sums[1] = (dz * (y - mean.astype(np.float64))).sum((0, 1, 2))  # type: ignore[union-attr]
    if activation == RPRELU:
        below = _values(z) - parameters[0]  # type: ignore[index]
        sums[2] = g.sum((0, 1, 2))
        sums[3] = (g * below * (below <= 0)).sum((0, 1, 2))
    return sums


def _derivative(u: Array, estimator: int, parameters: Array | None) -> Array:
    if estimator == IDENTITY:
        return np.ones_like(u)
    if estimator == CLIPPED:
        return (np.abs(u) <= 1).astype(np.float64)
    if estimator == QUADRATIC:
        return np.maximum(0, 2 - 2 * np.abs(u))
    values = [float(value) for value in parameters]  # type: ignore[union-attr]
    if estimator == TANH:
        t, k = values
        return k * t * (1 - np.tanh(t * u) ** 2)
    beta = values[0]
    with np.errstate(over="ignore"):
        return beta * (2 - beta * u * np.tanh(beta * u / 2)) / (1 + np.cosh(beta * u))


def _packed(negative: Array) -> Array:
    channels = negative.shape[-1]
    padded = np.zeros((*negative.shape[:-1], -(-channels // 32) * 32), bool)
    padded[..., :channels] = negative
    return np.packbits(padded, axis=-1, bitorder="little").view(np.int32)


def _signs(words: Array, channels: int) -> Array:
    negative = np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")[..., :channels]
    return 1.0 - 2.0 * negative


def _statistics(x: Array) -> Array:
    """Of each sample: sum, squares around the mean, minimum and maximum."""
    flat = x.reshape(len(x), -1)
    mean = flat.mean(1, keepdims=True)
    return np.stack([flat.sum(1), ((flat - mean) ** 2).sum(1), flat.min(1), flat.max(1)], 1)


def _values(stored: Any) -> Array:
    if stored.dtype == np.int16:
        return torch.from_numpy(stored).view(torch.bfloat16).double().numpy()
    return stored.astype(np.float64)


def _store(values: Array, to: Array) -> None:
    if to.dtype == np.int16:
        to[...] = torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy()
    else:
        to[...] = values


def _nchw(x: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def _nhwc(x: Tensor) -> Array:
    return x.permute(0, 2, 3, 1).numpy()


def _sides(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, right, top and bottom padding; negative where a stride leaves the last ones out."""
    _, in_h, in_w, _, out_h, out_w, _, kernel_h, kernel_w, stride_h, stride_w, top, left = shape
    right = (out_w - 1) * stride_w + kernel_w - in_w - left
    return left, right, top, (out_h - 1) * stride_h + kernel_h - in_h - top


def _padded(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return functional.pad(x, _sides(shape))


def _cropped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return functional.pad(x, [-side for side in _sides(shape)])
