"""Writes the smallest packed model that a learner can stand on, from docs/file-format.md alone."""

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

_NONE = 0xFFFFFFFF


def write_backbone(
    path: Path,
    weight: ArrayLike,
    bias: ArrayLike | None,
    range_: tuple[float, float],
    classes: Sequence[str],
    samples: Sequence[int] | None,
) -> Path:
    """An .obn whose input (1 x 1 x d) is its output ``features``, with a dense layer from them to ``logits``."""
    weight = np.asarray(weight, "<f4")
    outputs, width = weight.shape
    tensors = [(1, (outputs, 1, 1, width), weight.tobytes())]
    if bias is not None:
        tensors.append((1, (outputs,), np.asarray(bias, "<f4").tobytes()))
    data, table = b"", struct.pack("<II", len(tensors), 0)
    for dtype, dims, content in tensors:
        data += bytes(-len(data) % 64)
        shape = (*dims, *[1] * (4 - len(dims)))
        table += struct.pack("<II4IQQ", dtype, len(dims), *shape, len(data), len(content))
        data += content
    graph = struct.pack("<IIII", 3, 2, 0, 2)
    for value, name in ((1, b"features"), (2, b"logits")):
        graph += struct.pack("<I60s", value, name)
    for channels in (width, width, outputs):
        graph += struct.pack("<IIII", 1, 1, 1, channels)
    graph += _node(4, b"identity", [0], [_NONE] * 4, [0], output=1)
    dense = [0, _NONE, 1 if bias is not None else _NONE, _NONE, _NONE, _NONE]
    graph += _node(1, b"head", [1], dense, [1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0], output=2)
    digest = hashlib.sha256(graph + table + data).hexdigest()
    entries = {
        "classes": (2, b"".join(struct.pack("<I", len(n.encode())) + n.encode() for n in classes)),
        "features.range": (3, struct.pack("<2f", *range_)),
        "input.mean": (3, struct.pack(f"<{width}f", *[0.0] * width)),
        "input.std": (3, struct.pack(f"<{width}f", *[1.0] * width)),
        "weights.sha256": (1, digest.encode()),
    }
    if samples is not None:
        entries["classes.samples"] = (4, struct.pack(f"<{len(samples)}I", *samples))
    meta = struct.pack("<I", len(entries))
    for key, (kind, value) in sorted(entries.items()):
        meta += struct.pack("<HBBI", len(key), kind, 0, len(value)) + key.encode() + value
    path.write_bytes(_file([(b"META", meta), (b"GRPH", graph), (b"TNSR", table), (b"DATA", data)]))
    return path


def _node(op: int, name: bytes, inputs: list[int], tensors: list[int], attributes: list[int], *, output: int) -> bytes:
    head = struct.pack("<5I60s", op, len(inputs), len(tensors), len(attributes), output, name)
    return head + struct.pack(f"<{len(inputs) + len(tensors)}I{len(attributes)}i", *inputs, *tensors, *attributes)


def _file(sections: list[tuple[bytes, bytes]]) -> bytes:
    from onebit.runtime import _engine

    body, table, offset = b"", b"", 64 + 24 * len(sections)
    for kind, content in sections:
        gap = -(offset + len(body)) % 64
        body += bytes(gap)
        table += struct.pack("<4sIQQ", kind, 0, offset + len(body), len(content))
        body += content
    rest = table + body
    head = b"\x89OBN\r\n\x1a\n" + struct.pack("<IIQI", 1, len(sections), 64 + len(rest), _engine.crc32c(rest))
    return head + struct.pack("<I32x", _engine.crc32c(head)) + rest
