"""Packed convolution against torch.nn.functional.conv2d on ±1 tensors: the same bits on each instruction set."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from onebit.format.graph import Binarize, ConvBinary, Graph, Value
from onebit.format.window import Window
from tests.deploy.nets import ISAS, outputs

CHANNELS = st.one_of(st.integers(1, 9), st.sampled_from([31, 32, 33, 63, 64, 65, 96, 130]))
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@dataclass
class Case:
    x: Tensor  # ±1 (N, C, H, W)
    weight: Tensor  # ±1 (O, C / groups, kh, kw)
    window: Window
    groups: int
    padding_value: int

    def expected(self) -> Tensor:
        top, left, bottom, right = self.window.padding
        x = functional.pad(self.x, (left, right, top, bottom), value=float(self.padding_value))
        return functional.conv2d(x, self.weight, None, self.window.stride, 0, self.window.dilation, self.groups)

    def graph(self, interval: np.ndarray | None = None) -> Graph:
        """Floats to bits, the convolution, and, where it writes bits, these as floats."""
        c, h, w = self.x.shape[1:]
        outputs = self.weight.shape[0]
        out_h, out_w = self.window.output_sides(h, w)
        source, bits = Value(h, w, c), Value(h, w, c, bits=True)
        result = Value(out_h, out_w, outputs, bits=interval is not None)
        graph = Graph(source)
        graph.nodes.append(Binarize("sign", [source], bits, np.tile(np.float32([0, np.inf]), (c, 1))))
        signs = self.weight.numpy().transpose(0, 2, 3, 1).astype(np.int8)
        conv = ConvBinary("conv", [bits], result, signs, self.window, self.groups, padding_value=self.padding_value)
        conv.interval = interval
        graph.nodes.append(conv)
        if interval is not None:
            one = np.ones((outputs, 1, 1, 1), np.int8)
            floats = Value(out_h, out_w, outputs)
            graph.nodes.append(ConvBinary("floats", [result], floats, one, Window((1, 1)), outputs))
            result = floats
        graph.outputs["y"] = result
        return graph


@st.composite
def cases(draw: st.DrawFn) -> Case:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    depth, outputs = draw(CHANNELS), draw(CHANNELS)
    if draw(st.booleans()) and groups == 1:
        groups, depth, outputs = depth, 1, draw(st.sampled_from([1, 2]))  # depthwise
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    padding = tuple(draw(st.integers(0, min(3, reach[side % 2] - 1))) for side in range(4))
    smallest = [max(1, reach[axis] - padding[axis] - padding[axis + 2]) for axis in (0, 1)]
    sides = [side + draw(st.integers(0, 6)) for side in smallest]
    torch.manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randint(0, 2, (draw(st.integers(1, 3)), depth * groups, *sides)) * 2.0 - 1
    weight = torch.randint(0, 2, (outputs * groups, depth, *kernel)) * 2.0 - 1
    return Case(x, weight, Window(kernel, stride, padding, dilation), groups, draw(st.sampled_from([0, 1, -1])))  # type: ignore[arg-type]


@pytest.mark.parametrize("isa", ISAS)
@SETTINGS
@given(case=cases())
def test_dot_products_are_those_of_conv2d(tmp_path, isa: str, case: Case) -> None:
    assert np.array_equal(outputs(case.graph(), tmp_path, case.x, "y", isa), case.expected().numpy())


@pytest.mark.parametrize("isa", ISAS)
@SETTINGS
@given(case=cases(), data=st.data())
def test_intervals_on_the_dot_product(tmp_path, isa: str, case: Case, data: st.DataObject) -> None:
    reach = case.weight[0].numel()
    edges = st.integers(-reach - 1, reach + 1)
    few = data.draw(st.lists(st.tuples(edges, edges), min_size=1, max_size=4))  # some are empty: always −1
    interval = np.array([few[o % len(few)] for o in range(len(case.weight))], np.int32)
    expected = case.expected().numpy()
    lower, upper = interval.T[:, :, None, None]
    inside = (expected >= lower) & (expected <= upper)
    assert np.array_equal(outputs(case.graph(interval), tmp_path, case.x, "y", isa), np.where(inside, 1.0, -1.0))
