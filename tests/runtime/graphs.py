"""Random graphs: every operator, odd sizes, several outputs."""

import numpy as np
from hypothesis import strategies as st

from tests.runtime.obn import BITS, F32, Graph


def _floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def _channel_tensors(rng: np.random.Generator, channels: int, activation: str) -> dict[str, np.ndarray]:
    names = [name for name in ("scale", "bias", "post") if rng.random() < 0.6]
    return {name: _floats(rng, channels) for name in names + ["slope"] * (activation == "prelu")}


def _window(draw, h: int, w: int, dilation: bool) -> tuple[tuple[int, int], dict]:
    """A kernel, and a stride, padding and dilation that leave at least one position."""
    kernel, options = [], {"stride": [], "pad": [0, 0, 0, 0], "dilation": []}
    for axis, side in enumerate((h, w)):
        size = draw(st.integers(1, min(side, 3)))
        step = draw(st.integers(1, 2)) if dilation and size > 1 and 2 * (size - 1) < side else 1
        reach = step * (size - 1) + 1
        kernel.append(size)
        options["stride"].append(draw(st.integers(1, 3)))
        options["dilation"].append(step)
        options["pad"][axis], options["pad"][axis + 2] = (
            draw(st.integers(0, reach - 1)),
            draw(st.integers(0, reach - 1)),
        )
    return (kernel[0], kernel[1]), options


def _add(draw, rng: np.random.Generator, graph: Graph, x: int) -> int:
    kind, h, w, c = graph.values[x]
    if kind == BITS:
        return _add_conv(draw, rng, graph, x)
    op = draw(
        st.sampled_from(["conv", "binarize", "binarize", "pointwise", "max_pool", "average_pool", "pad_channels"])
    )
    if op == "conv":
        return _add_conv(draw, rng, graph, x)
    if op == "binarize":
        low = _floats(rng, c)
        high = np.where(rng.random(c) < 0.7, np.inf, low + rng.random(c)).astype(np.float32)
        return graph.binarize(
            x, np.stack([np.where(rng.random(c) < 0.2, -np.inf, low), high], axis=1).astype(np.float32)
        )
    if op == "pad_channels":
        return graph.pad_channels(x, draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    if op == "pointwise":
        activation = draw(st.sampled_from(["none", "relu", "hardtanh", "prelu"]))
        residual = x if draw(st.booleans()) else None
        return graph.pointwise(x, residual=residual, activation=activation, **_channel_tensors(rng, c, activation))
    kernel, options = _window(draw, h, w, dilation=False)
    return graph.pool(
        op, x, kernel, options["stride"], options["pad"], *[draw(st.integers(0, 1))] * (op == "average_pool")
    )


def _add_conv(draw, rng: np.random.Generator, graph: Graph, x: int) -> int:
    kind, h, w, c = graph.values[x]
    kernel, options = _window(draw, h, w, dilation=True)
    groups = draw(st.sampled_from([g for g in (1, 2, 3, c) if c % g == 0]))
    outputs = groups * draw(st.integers(1, max(1, 40 // groups)))
    if kind == F32:
        weight = _floats(rng, outputs, *kernel, c // groups)
    else:
        weight = rng.choice(np.array([-1, 1], np.int8), (outputs, *kernel, c // groups))
        options["padding_value"] = draw(st.sampled_from([0, 1, -1]))
        if draw(st.booleans()):
            interval = np.sort(rng.integers(-c, c + 1, (outputs, 2)), axis=1).astype(np.int32)
            return graph.conv(x, weight, groups=groups, interval=interval, **options)
    activation = draw(st.sampled_from(["none", "relu", "hardtanh", "prelu"]))
    channels = _channel_tensors(rng, outputs, activation)
    before = len(graph.values)
    y = graph.conv(x, weight, groups=groups, activation=activation, **options, **channels)
    candidates = [v for v in range(before) if graph.values[v] == graph.values[y]]
    if candidates and draw(st.booleans()):
        graph.nodes[-1].inputs.append(draw(st.sampled_from(candidates)))
    return y


@st.composite
def graphs(draw) -> tuple[Graph, np.random.Generator]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    graph = Graph()
    x = graph.input(draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.sampled_from([1, 3, 5, 31, 32, 33])))
    for _ in range(draw(st.integers(1, 6))):
        x = _add(draw, rng, graph, x)
    if graph.values[x][0] == BITS:
        x = graph.conv(x, rng.choice(np.array([-1, 1], np.int8), (4, 1, 1, graph.values[x][3])))
    graph.output(x, "logits")
    others = [v for v in range(len(graph.values)) if graph.values[v][0] == F32 and v != x]
    graph.output(draw(st.sampled_from(others)), "other")
    return graph, rng
