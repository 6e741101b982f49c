"""A layer in bytes: its error, and its integers in the engine."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from onebit.deploy.int8 import byte_grid, in_bytes, quantize_weight
from onebit.errors import OnebitError
from onebit.format.graph import ConvFloat, ConvInt8, Graph, Value
from onebit.format.window import Window
from tests.deploy.nets import ISAS, outputs

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ENDS = st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6)


def to_bytes(x: NDArray[np.float32], multiplier: float, zero_point: int) -> NDArray[np.int64]:
    """q, as the format's page says."""
    return (np.rint(x * np.float32(multiplier)).astype(np.float64) + zero_point).clip(0, 255).astype(np.int64)


@settings(deadline=None)
@given(ends=st.tuples(ENDS, ENDS).filter(any), shares=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_a_byte_is_off_by_half_a_step_and_zero_is_exact(ends: tuple[float, float], shares: list[float]) -> None:
    low, high = min(ends), max(ends)
    multiplier, zero_point = byte_grid(low, high)
    assert 0 <= zero_point <= 255
    assert multiplier == np.float32(multiplier)
    x = np.clip(np.float32(low + np.array(shares) * (high - low)), low, high).astype(np.float32)
    error = (to_bytes(x, multiplier, zero_point) - zero_point) / multiplier - x
    assert np.abs(error).max() <= 0.5001 / multiplier
    assert to_bytes(np.zeros(1, np.float32), multiplier, zero_point) == zero_point


@pytest.mark.parametrize("ends", [(0.0, 0.0), (0.0, 1e-44), (0.0, np.inf), (np.nan, np.nan)])
def test_a_range_without_a_multiplier_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(OnebitError, match="no byte holds"):
        byte_grid(*ends)


@SETTINGS
@given(seed=st.integers(0, 2**32 - 1), outputs=st.integers(1, 5), taps=st.integers(1, 40), tail=st.integers(1, 3))
def test_weights_are_no_worse_than_rounded_without_clipping(seed: int, outputs: int, taps: int, tail: int) -> None:
    rng = np.random.default_rng(seed)
    weight = np.float32(rng.standard_normal((outputs, 1, 1, taps)) ** tail * 10.0 ** rng.integers(-9, 9))
    weight[rng.random(outputs) < 0.2] = 0
    values, scale = quantize_weight(weight)
    assert values.dtype == np.int8
    assert np.abs(values.astype(int)).max() <= 127
    error = (values * scale[:, None, None, None] - weight).reshape(outputs, -1)
    largest = np.abs(weight.astype(np.float64)).reshape(outputs, -1).max(axis=1)
    rounded = np.rint(weight.reshape(outputs, -1) * 127 / np.where(largest > 0, largest, 1)[:, None])
    unclipped = rounded * largest[:, None] / 127 - weight.reshape(outputs, -1)
    ulp = 1e-12 * largest
    assert (np.square(error).sum(axis=1) <= np.square(unclipped).sum(axis=1) * (1 + 1e-9) + np.square(ulp)).all()
    assert (np.abs(error).max(axis=1) <= np.maximum(scale / 2, 0.21 * largest)).all()
    assert not error[largest == 0].any()
    assert np.array_equal(quantize_weight(-weight)[0], -values)


def test_an_outlier_is_clipped() -> None:
    weight = np.full((1, 1, 1, 1000), 0.6 / 127, np.float32)
    weight[..., 0] = 1
    values, scale = quantize_weight(weight)
    assert scale[0] < 1 / 127
    assert values[0, 0, 0, 0] == 127


@dataclass
class Case:
    x: Tensor
    conv: ConvFloat
    layer: ConvInt8

    def graph(self, node: ConvFloat | ConvInt8) -> Graph:
        return Graph(node.inputs[0], [node], {"y": node.output})

    def transcribed(self) -> NDArray[np.float32]:
        """(N, O, H, W) from the format's page: integers, then the epilogue in float32."""
        layer, window = self.layer, self.layer.window
        q = to_bytes(self.x.numpy(), layer.multiplier, layer.zero_point) - layer.zero_point
        top, left, bottom, right = window.padding
        padded = np.pad(q, ((0, 0), (0, 0), (top, bottom), (left, right)))
        views = np.lib.stride_tricks.sliding_window_view(padded, window.kernel, axis=(2, 3))
        views = views[:, :, :: window.stride[0], :: window.stride[1]]
        sums = np.einsum("nchwij,oijc->nohw", views, layer.weight.astype(np.int64))
        scale, bias = layer.epilogue.constants()[:2]
        y = sums.astype(np.float32) * scale[:, None, None]
        return y if bias is None else y + bias[:, None, None]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depth = draw(st.sampled_from([1, 2, 3, 5, 16, 31, 64, 67]))
    outputs = draw(st.sampled_from([1, 3, 16, 17, 65]))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    top, left, bottom, right = (draw(st.integers(0, kernel[side % 2] - 1)) for side in range(4))
    window = Window(kernel, stride, (top, left, bottom, right))
    sides = [max(1, k - p) + draw(st.integers(0, 5)) for k, p in zip(kernel, (top + bottom, left + right), strict=True)]
    x = np.float32(rng.standard_normal((draw(st.integers(1, 3)), depth, *sides)) + draw(st.sampled_from([0, 4, -4])))
    source = Value(*sides, depth)
    output = Value(*window.output_sides(*sides), outputs)
    weight = np.float32(rng.standard_normal((outputs, *kernel, depth)))
    conv = ConvFloat("conv", [source], output, weight, window)
    if draw(st.booleans()):
        conv.epilogue = conv.epilogue.__class__(scale=rng.standard_normal(outputs), bias=rng.standard_normal(outputs))
    return Case(torch.from_numpy(x), conv, in_bytes(conv, float(x.min()), float(x.max())))


@SETTINGS
@given(case=cases())
def test_the_engine_computes_what_the_page_says(tmp_path: Path, case: Case) -> None:
    expected = case.transcribed()
    for isa in ISAS:
        assert np.array_equal(outputs(case.graph(case.layer), tmp_path, case.x, "y", isa), expected), isa


@SETTINGS
@given(case=cases())
def test_the_error_of_a_layer_is_bounded(tmp_path: Path, case: Case) -> None:
    expected = outputs(case.graph(case.conv), tmp_path, case.x, "y", "")
    scale = case.layer.epilogue.scale * case.layer.multiplier
    before = np.ones(len(scale)) if case.conv.epilogue.scale is None else case.conv.epilogue.scale
    weight = np.abs(case.conv.weight * before[:, None, None, None])
    off = np.abs(case.layer.weight * scale[:, None, None, None] - case.conv.weight * before[:, None, None, None])
    step, largest = 0.5001 / case.layer.multiplier, float(case.x.abs().max())
    bound = (weight * step + off * (largest + step)).sum(axis=(1, 2, 3)) + 1e-5 * (weight * largest).sum(axis=(1, 2, 3))
    error = np.abs(case.transcribed() - expected).max(axis=(0, 2, 3))
    assert (error <= bound + 1e-5).all()


@SETTINGS
@given(case=cases())
def test_padding_is_an_exact_zero(tmp_path: Path, case: Case) -> None:
    """The same as zeros around the image, whatever the zero point."""
    top, left, bottom, right = case.layer.window.padding
    x = nn.functional.pad(case.x, (left, right, top, bottom))
    layer, window = case.layer, case.layer.window
    source = Value(*x.shape[2:], x.shape[1])
    bare = Window(window.kernel, window.stride)
    wide = ConvInt8(
        "wide", [source], layer.output, layer.weight, bare, 1, layer.epilogue, layer.multiplier, layer.zero_point
    )
    padded = outputs(case.graph(layer), tmp_path, case.x, "y", "")
    assert np.array_equal(outputs(case.graph(wide), tmp_path, x, "y", ""), padded)


@pytest.mark.parametrize(
    ("shape", "window", "groups", "reason"),
    [
        ((4, 1, 1, 2), Window((1, 1)), 2, "groups"),
        ((4, 2, 2, 4), Window((2, 2), dilation=(1, 2)), 1, "dilated"),
        ((1, 1, 1, 2**16 + 1), Window((1, 1)), 1, "65537 is too long"),
    ],
)
def test_what_has_no_int8_form(shape: tuple[int, ...], window: Window, groups: int, reason: str) -> None:
    source = Value(6, 6, shape[3] * groups)
    output = Value(*window.output_sides(6, 6), shape[0])
    conv = ConvFloat("conv", [source], output, np.ones(shape, np.float32), window, groups)
    with pytest.raises(OnebitError, match=reason):
        in_bytes(conv, 0, 1)
