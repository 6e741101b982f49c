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
from onebit.files import atomic_file
from onebit.format import layout
from onebit.format.codes import MetaType, TensorType, ValueType
from onebit.format.epilogue import Constant
from onebit.format.graph import Graph, Node
from onebit.format.layout import Meta
from onebit.format.limits import MAX_COUNT


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
    with atomic_file(path, force=force) as temporary:
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

    entries, body = [], bytearray(layout.SECTION.size * len(sections))
    for kind, content in zip(layout.KINDS, sections, strict=True):
        body += bytes(_aligned(len(body)) - len(body))
        entries.append(layout.SECTION.pack(kind, 0, layout.ALIGNMENT + len(body), len(content)))
        body += content
    body[: layout.SECTION.size * len(sections)] = b"".join(entries)

    length, checksum = layout.ALIGNMENT + len(body), crc32c(bytes(body))
    header = layout.HEADER.pack(layout.MAGIC, layout.VERSION, len(sections), length, checksum)
    header += layout.CHECKSUM.pack(crc32c(header))
    return header.ljust(layout.ALIGNMENT, b"\0") + bytes(body)


def _aligned(length: int) -> int:
    return -(-length // layout.ALIGNMENT) * layout.ALIGNMENT


def _meta(meta: Mapping[str, Meta]) -> bytes:
    entries = sorted((key.encode(), _meta_value(value)) for key, value in meta.items())
    parts = [layout.COUNT.pack(len(entries))]
    for key, (kind, value) in entries:
        parts.append(layout.META.pack(len(key), kind, 0, len(value)) + key + value)
    return b"".join(parts)


def _meta_value(value: Meta) -> tuple[int, bytes]:
    if isinstance(value, str):
        return MetaType.TEXT, value.encode()
    if isinstance(value, np.ndarray):
        kind, dtype = (MetaType.COUNTS, "<u4") if value.dtype.kind == "u" else (MetaType.FLOATS, "<f4")
        return kind, value.astype(dtype).tobytes()
    texts = [text.encode() for text in value]
    return MetaType.TEXTS, b"".join(layout.COUNT.pack(len(text)) + text for text in texts)


def _encode(constant: NDArray[np.generic]) -> tuple[int, bytes]:
    if constant.dtype == np.bool_:
        return TensorType.BITS, pack_bits(constant.view(np.bool_)).tobytes()
    if constant.dtype == np.int8:
        return TensorType.INT8, constant.tobytes()
    if constant.dtype == np.int32:
        return TensorType.INT32, constant.astype("<i4").tobytes()
    if constant.dtype == np.float32:
        return TensorType.FLOAT32, constant.astype("<f4").tobytes()
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
                numbers.append(layout.ABSENT)
                continue
            dtype, content = _encode(constant)
            data += bytes(_aligned(len(data)) - len(data))
            dims = (*constant.shape, 1, 1, 1)[:4]
            entries.append(layout.TENSOR.pack(dtype, constant.ndim, *dims, len(data), len(content)))
            data += content
            numbers.append(len(entries) - 1)
        index.append(numbers)
    if len(entries) > MAX_COUNT:
        raise OnebitError(f"the graph has {len(entries)} tensors; the format holds {MAX_COUNT}")
    return layout.TENSORS.pack(len(entries), 0) + b"".join(entries), bytes(data), index


def _graph(graph: Graph, index: list[list[int]]) -> bytes:
    values = graph.values()
    number = {id(value): position for position, value in enumerate(values)}
    parts = [layout.GRAPH.pack(len(values), len(graph.nodes), number[id(graph.input)], len(graph.outputs))]
    parts += [layout.OUTPUT.pack(number[id(value)], _name(name)) for name, value in graph.outputs.items()]
    for value in values:
        kind = ValueType.BITS if value.bits else ValueType.FLOAT32
        parts.append(layout.VALUE.pack(kind, value.h, value.w, value.c))
    parts += [_node(node, tensors, number) for node, tensors in zip(graph.nodes, index, strict=False)]
    return b"".join(parts)


def _node(node: Node, tensors: list[int], number: Mapping[int, int]) -> bytes:
    inputs = [number[id(x)] for x in node.inputs]
    attributes = node.attributes()
    counts = len(inputs), len(tensors), len(attributes)
    head = layout.NODE.pack(node.op, *counts, number[id(node.output)], _name(node.name))
    return head + struct.pack(f"<{len(inputs) + len(tensors)}I{len(attributes)}i", *inputs, *tensors, *attributes)


def _name(name: str) -> bytes:
    """The end of a long name tells more than its beginning; cut between characters, at least one zero stays."""
    return name.encode()[-(layout.NAME_BYTES - 1) :].decode(errors="ignore").encode()
