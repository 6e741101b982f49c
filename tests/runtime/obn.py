"""Writes .obn files in plain Python, from docs/file-format.md alone: a second implementation to test the reader."""

import hashlib
import json
import struct
from dataclasses import dataclass, field

import numpy as np

MAGIC = b"\x89OBN\r\n\x1a\n"
F32, BITS = 1, 2
OPS = {
    "conv_float": 1, "conv_binary": 2, "binarize": 3, "pointwise": 4,
    "max_pool": 5, "average_pool": 6, "pad_channels": 7,
}  # fmt: skip
ACTIVATIONS = {"none": 0, "relu": 1, "hardtanh": 2, "prelu": 3}
ABSENT = 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _crc_entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC = [_crc_entry(byte) for byte in range(256)]


def pack(signs: np.ndarray) -> np.ndarray:
    """±1 [..., C] to uint32 [..., ceil(C / 32)]: bit 1 means -1, channel c is bit c mod 32 of word c div 32."""
    channels = signs.shape[-1]
    bits = np.zeros((*signs.shape[:-1], -(-channels // 32) * 32), np.uint8)
    bits[..., :channels] = signs < 0
    return np.packbits(bits, axis=-1, bitorder="little").view("<u4")


@dataclass
class Node:
    """Tensors are numpy arrays: float32, int32, or int8 of ±1 for weights that are packed; None if absent."""

    op: str
    inputs: list[int]
    output: int
    tensors: dict[str, np.ndarray | None]
    attributes: dict[str, int]
    name: str


@dataclass
class Graph:
    """Values are (type, h, w, c). `add` appends a node, makes its output value and returns that value's index."""

    values: list[tuple[int, int, int, int]] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    outputs: list[tuple[int, str]] = field(default_factory=list)
    meta: dict[str, object] = field(default_factory=dict)

    def input(self, h: int, w: int, c: int) -> int:
        self.values.append((F32, h, w, c))
        return len(self.values) - 1

    def add(self, op, inputs, shape, tensors=None, attributes=None, kind=F32):
        self.values.append((kind, *shape))
        output = len(self.values) - 1
        self.nodes.append(Node(op, list(inputs), output, tensors or {}, attributes or {}, f"{op}{len(self.nodes)}"))
        return output

    def conv(
        self, x, weight, *, stride=(1, 1), pad=(0, 0, 0, 0), dilation=(1, 1), groups=1, activation="none",
        padding_value=0, residual=None, interval=None, **channels,
    ):  # fmt: skip
        kind, h, w, _ = self.values[x]
        outputs, kernel_h, kernel_w, _ = weight.shape
        out_h = (h + pad[0] + pad[2] - dilation[0] * (kernel_h - 1) - 1) // stride[0] + 1
        out_w = (w + pad[1] + pad[3] - dilation[1] * (kernel_w - 1) - 1) // stride[1] + 1
        tensors = {"weight": weight, **{name: channels.get(name) for name in ("scale", "bias", "slope", "post")}}
        attributes = {
            "stride_h": stride[0], "stride_w": stride[1], "pad_top": pad[0], "pad_left": pad[1], "pad_bottom": pad[2],
            "pad_right": pad[3], "dilation_h": dilation[0], "dilation_w": dilation[1], "groups": groups,
            "activation": ACTIVATIONS[activation], "padding_value": padding_value,
        }  # fmt: skip
        tensors["interval"] = interval
        inputs = [x] if residual is None else [x, residual]
        shape = (out_h, out_w, outputs)
        op = "conv_binary" if kind == BITS else "conv_float"
        return self.add(op, inputs, shape, tensors, attributes, F32 if interval is None else BITS)

    def binarize(self, x, interval):
        return self.add("binarize", [x], self.values[x][1:], {"interval": interval}, kind=BITS)

    def pointwise(self, x, *, residual=None, activation="none", **channels):
        tensors = {name: channels.get(name) for name in ("scale", "bias", "slope", "post")}
        inputs = [x] if residual is None else [x, residual]
        return self.add("pointwise", inputs, self.values[x][1:], tensors, {"activation": ACTIVATIONS[activation]})

    def pool(self, op, x, kernel, stride, pad=(0, 0, 0, 0), count_padding=0):
        _, h, w, c = self.values[x]
        out_h = (h + pad[0] + pad[2] - kernel[0]) // stride[0] + 1
        out_w = (w + pad[1] + pad[3] - kernel[1]) // stride[1] + 1
        names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left", "pad_bottom", "pad_right")
        attributes = dict(zip(names, (*kernel, *stride, *pad), strict=True))
        if op == "average_pool":
            attributes["count_padding"] = count_padding
        return self.add(op, [x], (out_h, out_w, c), {}, attributes)

    def pad_channels(self, x, before, after):
        _, h, w, c = self.values[x]
        return self.add("pad_channels", [x], (h, w, c + before + after), {}, {"before": before, "after": after})

    def output(self, value: int, name: str) -> None:
        self.outputs.append((value, name))

    def to_bytes(self) -> bytes:
        tensors = Tensors()
        graph = self._graph(tensors)
        table, data = tensors.sections()
        meta = {"weights.sha256": hashlib.sha256(graph + table + data).hexdigest(), **self.meta}
        return container({"META": _meta(meta), "GRPH": graph, "TNSR": table, "DATA": data})

    def _graph(self, tensors: "Tensors") -> bytes:
        parts = [struct.pack("<4I", len(self.values), len(self.nodes), 0, len(self.outputs))]
        parts += [struct.pack("<I60s", value, name.encode()) for value, name in self.outputs]
        parts += [struct.pack("<4I", *value) for value in self.values]
        for node in self.nodes:
            indices = [tensors.add(array) for array in node.tensors.values()]
            attributes = list(node.attributes.values())
            counts = len(node.inputs), len(indices), len(attributes)
            parts.append(struct.pack("<5I60s", OPS[node.op], *counts, node.output, node.name.encode()))
            parts.append(struct.pack(f"<{counts[0]}I{counts[1]}I{counts[2]}i", *node.inputs, *indices, *attributes))
        return b"".join(parts)


class Tensors:
    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.data = b""

    def add(self, array: np.ndarray | None) -> int:
        if array is None:
            return ABSENT
        kind = {np.dtype(np.float32): 1, np.dtype(np.int32): 2, np.dtype(np.int8): 3}[array.dtype]
        content = (pack(array) if kind == 3 else array).astype(array.dtype if kind != 3 else "<u4").tobytes()
        self.data += b"\0" * (-len(self.data) % 64)
        dims = [*array.shape, *[1] * (4 - array.ndim)]
        self.rows.append(struct.pack("<6I2Q", kind, array.ndim, *dims, len(self.data), len(content)))
        self.data += content
        return len(self.rows) - 1

    def sections(self) -> tuple[bytes, bytes]:
        return struct.pack("<2I", len(self.rows), 0) + b"".join(self.rows), self.data


def _meta(entries: dict[str, object]) -> bytes:
    parts = [struct.pack("<I", len(entries))]
    for key in sorted(entries, key=str.encode):
        kind, value = _meta_value(entries[key])
        parts.append(struct.pack("<HBBI", len(key.encode()), kind, 0, len(value)) + key.encode() + value)
    return b"".join(parts)


def _meta_value(value: object) -> tuple[int, bytes]:
    if isinstance(value, str):
        return 1, value.encode()
    if isinstance(value, dict):
        return 1, json.dumps(value).encode()
    assert isinstance(value, list)
    if all(isinstance(item, str) for item in value):
        return 2, b"".join(struct.pack("<I", len(item.encode())) + item.encode() for item in value)
    if all(isinstance(item, float) for item in value):
        return 3, struct.pack(f"<{len(value)}f", *value)
    return 4, struct.pack(f"<{len(value)}I", *value)


def container(sections: dict[str, bytes]) -> bytes:
    table, body = b"", b""
    start = 64 + 24 * len(sections)
    for kind, content in sections.items():
        body += b"\0" * (-(start + len(body)) % 64)
        table += struct.pack("<4sIQQ", kind.encode(), 0, start + len(body), len(content))
        body += content
    return with_header(table + body)


def with_header(rest: bytes) -> bytes:
    """The header, with its checksums, before the bytes from 64 on."""
    start = MAGIC + struct.pack("<IIQI", 1, 4, 64 + len(rest), crc32c(rest))
    return start + struct.pack("<I", crc32c(start)) + b"\0" * 32 + rest
