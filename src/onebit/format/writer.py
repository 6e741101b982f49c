"""Bytes of an ``.obn`` file, as docs/file-format.md specifies them. numpy only; the same graph gives the same bytes."""

import hashlib
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit._engine import crc32c
from onebit.errors import OnebitError
from onebit.files import replacing
from onebit.format.epilogue import Constant
from onebit.format.graph import MAX_COUNT, Graph, Node

MAGIC = b"\x89OBN\r\n\x1a\n"
VERSION = 1
ALIGNMENT = 64
ABSENT = 0xFFFFFFFF
NAME_BYTES = 60
KINDS = (b"META", b"GRPH", b"TNSR", b"DATA")
_FLOAT, _INT, _BITS, _INT8 = 1, 2, 3, 4

# A value of META: text, texts, floats or counts; numpy arrays tell floats from counts.
Meta = str | Sequence[str] | NDArray[np.float32] | NDArray[np.uint32]


def pack_bits(negative: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Bits [..., C] to words [..., ceil(C / 32)]: bit c mod 32 of word c div 32 is 1 where channel c is −1.

    Example:
        >>> pack_bits(np.array([[1, -1, -1], [1, 1, 1]]) < 0)
        array([[6],
               [0]], dtype=uint32)
    """
    words = -(-negative.shape[-1] // 32)
    bits = np.zeros((*negative.shape[:-1], words * 32), np.uint8)
    bits[..., : negative.shape[-1]] = negative
    return np.packbits(bits, axis=-1, bitorder="little").view("<u4")


def constant_bytes(constant: Constant) -> int:
    """How many bytes of DATA a tensor takes, without alignment."""
    return 0 if constant is None else len(_encode(constant)[1])


def write(
    path: str | os.PathLike[str],
    graph: Graph,
    meta: Mapping[str, Meta],
    extra: Sequence[NDArray[Any]] = (),
    *,
    force: bool = False,
) -> int:
    """Writes the file whole or not at all, and returns its length in bytes; arguments as in :func:`serialize`.

    Raises:
        OnebitError: the graph is outside the format, or ``path`` exists and ``force`` is not set.
    """
    content = serialize(graph, meta, extra)
    with replacing(path, force=force) as temporary:
        temporary.write_bytes(content)
    return len(content)


def tensor_count(graph: Graph) -> int:
    """How many tensors the nodes have: the number of the first one in ``extra``."""
    return sum(constant is not None for node in graph.nodes for constant in node.constants())


def serialize(graph: Graph, meta: Mapping[str, Meta], extra: Sequence[NDArray[Any]] = ()) -> bytes:
    """The bytes of the file. ``weights.sha256`` is added to ``meta``; ``extra`` are tensors that no node reads."""
    graph.check()
    table, data, index = _tensors([*(node.constants() for node in graph.nodes), extra])
    weights = (_graph(graph, index), table, data)
    digest = hashlib.sha256(b"".join(weights)).hexdigest()
    sections = (_meta({**meta, "weights.sha256": digest}), *weights)

    entries, body = [], bytearray(24 * len(sections))
    for kind, content in zip(KINDS, sections, strict=True):
        body += bytes(_aligned(len(body)) - len(body))
        entries.append(struct.pack("<4sIQQ", kind, 0, ALIGNMENT + len(body), len(content)))
        body += content
    body[: 24 * len(sections)] = b"".join(entries)

    header = struct.pack("<8sIIQI", MAGIC, VERSION, len(sections), ALIGNMENT + len(body), crc32c(bytes(body)))
    header += struct.pack("<I", crc32c(header))
    return header.ljust(ALIGNMENT, b"\0") + bytes(body)


def _aligned(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT


def _meta(meta: Mapping[str, Meta]) -> bytes:
    entries = sorted((key.encode(), _meta_value(value)) for key, value in meta.items())
    parts = [struct.pack("<I", len(entries))]
    for key, (kind, value) in entries:
        parts.append(struct.pack("<HBBI", len(key), kind, 0, len(value)) + key + value)
    return b"".join(parts)


def _meta_value(value: Meta) -> tuple[int, bytes]:
    if isinstance(value, str):
        return 1, value.encode()
    if isinstance(value, np.ndarray):
        return (4, value.astype("<u4").tobytes()) if value.dtype.kind == "u" else (3, value.astype("<f4").tobytes())
    texts = [text.encode() for text in value]
    return 2, b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _encode(constant: NDArray[np.generic]) -> tuple[int, bytes]:
    if constant.dtype == np.bool_:
        return _BITS, pack_bits(constant.view(np.bool_)).tobytes()
    if constant.dtype == np.int8:
        return _INT8, constant.tobytes()
    if constant.dtype == np.int32:
        return _INT, constant.astype("<i4").tobytes()
    if constant.dtype == np.float32:
        return _FLOAT, constant.astype("<f4").tobytes()
    raise TypeError(f"a tensor of {constant.dtype} cannot be written")


def _tensors(groups: Sequence[Sequence[Constant]]) -> tuple[bytes, bytes, list[list[int]]]:
    """TNSR, DATA, and for each group, a node's, the numbers of its tensors."""
    entries: list[bytes] = []
    data = bytearray()
    index: list[list[int]] = []
    for constants in groups:
        numbers = []
        for constant in constants:
            if constant is None:
                numbers.append(ABSENT)
                continue
            dtype, content = _encode(constant)
            data += bytes(_aligned(len(data)) - len(data))
            dims = (*constant.shape, 1, 1, 1)[:4]
            entries.append(struct.pack("<II4IQQ", dtype, constant.ndim, *dims, len(data), len(content)))
            data += content
            numbers.append(len(entries) - 1)
        index.append(numbers)
    if len(entries) > MAX_COUNT:
        raise OnebitError(f"the graph has {len(entries)} tensors; the format holds {MAX_COUNT}")
    return struct.pack("<II", len(entries), 0) + b"".join(entries), bytes(data), index


def _graph(graph: Graph, index: list[list[int]]) -> bytes:
    values = graph.values()
    number = {id(value): position for position, value in enumerate(values)}
    parts = [struct.pack("<4I", len(values), len(graph.nodes), number[id(graph.input)], len(graph.outputs))]
    parts += [struct.pack("<I60s", number[id(value)], _name(name)) for name, value in graph.outputs.items()]
    parts += [struct.pack("<4I", 2 if value.bits else 1, value.h, value.w, value.c) for value in values]
    parts += [_node(node, tensors, number) for node, tensors in zip(graph.nodes, index, strict=False)]
    return b"".join(parts)


def _node(node: Node, tensors: list[int], number: Mapping[int, int]) -> bytes:
    inputs = [number[id(x)] for x in node.inputs]
    attributes = node.attributes()
    head = struct.pack(
        "<5I60s", node.op, len(inputs), len(tensors), len(attributes), number[id(node.output)], _name(node.name)
    )
    return head + struct.pack(f"<{len(inputs) + len(tensors)}I{len(attributes)}i", *inputs, *tensors, *attributes)


def _name(name: str) -> bytes:
    """The end of a long name tells more than its beginning; cut between characters, at least one zero stays."""
    return name.encode()[-(NAME_BYTES - 1) :].decode(errors="ignore").encode()
