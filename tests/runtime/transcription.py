"""Runs a graph in numpy, from docs/file-format.md alone, in its float order: the engine must answer the same bits."""

import numpy as np

from tests.runtime.obn import BITS, Graph, Node


def run(graph: Graph, x: np.ndarray) -> dict[str, np.ndarray]:
    """x: float32 (N, h, w, c). Values of bits are int8 arrays of ±1. Returns each output, (N, h, w, c)."""
    values = {0: x}
    for node in graph.nodes:
        values[node.output] = _OPERATORS[node.op](graph, node, [values[i] for i in node.inputs])
    return {name: values[value] for value, name in graph.outputs}


def _conv(graph: Graph, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    a, weight = node.attributes, node.tensors["weight"]
    binary = node.op == "conv_binary"
    kind = np.int64 if binary else np.float32
    outputs, kernel_h, kernel_w, group_in = weight.shape
    out_h, out_w = graph.values[node.output][1:3]
    pads = ((0, 0), (a["pad_top"], a["pad_bottom"]), (a["pad_left"], a["pad_right"]), (0, 0))
    x = np.pad(inputs[0].astype(kind), pads, constant_values=a.get("padding_value", 0))
    inside = np.pad(np.ones(inputs[0].shape[:3], bool), pads[:3])
    y = np.zeros((len(x), out_h, out_w, outputs), kind)
    for ky in range(kernel_h):
        for kx in range(kernel_w):
            top, left = ky * a["dilation_h"], kx * a["dilation_w"]
            rows = slice(top, top + (out_h - 1) * a["stride_h"] + 1, a["stride_h"])
            columns = slice(left, left + (out_w - 1) * a["stride_w"] + 1, a["stride_w"])
            there = inside[:, rows, columns, None]
            for channel in range(group_in):
                for group in range(a["groups"]):
                    o = slice(group * outputs // a["groups"], (group + 1) * outputs // a["groups"])
                    pixels = x[:, rows, columns, group * group_in + channel, None]
                    product = pixels * weight[o, ky, kx, channel].astype(kind)
                    if binary:  # padding is a value like any other, 0 included
                        y[..., o] += product
                    else:
                        y[..., o] = np.where(there, y[..., o] + product, y[..., o])
    if graph.values[node.output][0] == BITS:
        return _within(y, node.tensors["interval"])
    return _epilogue(node, y.astype(np.float32), inputs[1:])


def _epilogue(node: Node, y: np.ndarray, residual: list[np.ndarray]) -> np.ndarray:
    t = node.tensors
    if t["scale"] is not None:
        y = y * t["scale"]
    if t["bias"] is not None:
        y = y + t["bias"]
    if residual:
        y = y + residual[0]
    activation = node.attributes["activation"]
    if activation == 1:
        y = np.maximum(y, np.float32(0))
    elif activation == 2:
        y = np.clip(y, np.float32(-1), np.float32(1))
    elif activation == 3:
        y = np.where(y < 0, y * t["slope"], y)
    return y if t["post"] is None else y + t["post"]


def _within(y: np.ndarray, interval: np.ndarray) -> np.ndarray:
    return np.where((interval[:, 0] <= y) & (y <= interval[:, 1]), np.int8(1), np.int8(-1))


def _pool(graph: Graph, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    a, x = node.attributes, inputs[0]
    _, in_h, in_w, channels = x.shape
    out_h, out_w = graph.values[node.output][1:3]
    y = np.empty((len(x), out_h, out_w, channels), np.float32)
    for row in range(out_h):
        for column in range(out_w):
            top, left = row * a["stride_h"] - a["pad_top"], column * a["stride_w"] - a["pad_left"]
            positions = [
                (i, j)
                for i in range(top, top + a["kernel_h"])
                for j in range(left, left + a["kernel_w"])
                if 0 <= i < in_h and 0 <= j < in_w
            ]
            if node.op == "max_pool":
                y[:, row, column] = np.max([x[:, i, j] for i, j in positions], axis=0)
            else:
                total = np.zeros((len(x), channels), np.float32)
                for i, j in positions:
                    total = total + x[:, i, j]
                count = a["kernel_h"] * a["kernel_w"] if a["count_padding"] else len(positions)
                y[:, row, column] = total / np.float32(count)
    return y


def _pad_channels(graph: Graph, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
    return np.pad(inputs[0], ((0, 0), (0, 0), (0, 0), (node.attributes["before"], node.attributes["after"])))


_OPERATORS = {
    "conv_float": _conv,
    "conv_binary": _conv,
    "binarize": lambda graph, node, inputs: _within(inputs[0], node.tensors["interval"]),
    "pointwise": lambda graph, node, inputs: _epilogue(node, inputs[0], inputs[1:]),
    "max_pool": _pool,
    "average_pool": _pool,
    "pad_channels": _pad_channels,
}
