"""The content of an ``.obn`` file from its bytes: the inverse of :func:`onebit.format.writer.serialize`. numpy only."""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit._engine import crc32c
from onebit.errors import OnebitError
from onebit.format import layout
from onebit.format.codes import Activation, MetaType, Op, TensorType, ValueType
from onebit.format.epilogue import Constant, Epilogue
from onebit.format.graph import (
    AveragePool,
    Binarize,
    ConvBinary,
    ConvFloat,
    ConvInt8,
    Graph,
    MaxPool,
    Node,
    PadChannels,
    Pointwise,
    Value,
)
from onebit.format.layout import Meta
from onebit.format.window import Window

_ELEMENTS = {TensorType.FLOAT32: "<f4", TensorType.INT32: "<i4", TensorType.INT8: "i1"}


@dataclass(frozen=True)
class Contents:
    """The content of a file.

    Attributes:
        graph: its nodes; latent weights and estimators stay in ``meta`` and ``tensors``.
        meta: key -> text, texts, float32 or uint32.
        tensors: all of them, in the order in which META counts them; bits as bool, True for −1.
    """

    graph: Graph
    meta: dict[str, Meta]
    tensors: list[NDArray[Any]]


def read(content: bytes) -> Contents:
    """Reads the bytes of a file.

    The checksums, the hash and the rules of :meth:`onebit.format.graph.Graph.check` are checked. The engine checks
    every rule of the format: open a file that others made with :func:`onebit.load` first.

    Raises:
        OnebitError: the bytes are no ``.obn`` file of this version, or damaged.

    Example:
        >>> from onebit.format.writer import serialize
        >>> x, y = Value(2, 2, 3), Value(1, 1, 3)
        >>> mean = AveragePool("mean", [x], y, Window((2, 2)))
        >>> contents = read(serialize(Graph(x, [mean], {"logits": y}), {"classes": ["a", "b", "c"]}))
        >>> contents.graph.nodes[0].window, contents.meta["classes"]
        (Window(kernel=(2, 2), stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1)), ['a', 'b', 'c'])
    """
    try:
        sections = _sections(content)
        meta = _meta(sections[b"META"])
        weights = b"".join(sections[kind] for kind in layout.KINDS[1:])
        if meta.get("weights.sha256") != hashlib.sha256(weights).hexdigest():
            raise ValueError("weights.sha256 is that of other weights")
        tensors = _tensors(sections[b"TNSR"], sections[b"DATA"])
        graph = _graph(sections[b"GRPH"], tensors)
    except (struct.error, ValueError, IndexError, KeyError) as problem:
        raise OnebitError(f"the file is damaged: {problem}", hint="export it again") from problem
    graph.check()
    return Contents(graph, meta, tensors)


def _sections(content: bytes) -> dict[bytes, bytes]:
    magic, version, count, length, checksum = layout.HEADER.unpack_from(content)
    if magic != layout.MAGIC:
        raise ValueError("it does not begin as an .obn file does")
    if layout.CHECKSUM.unpack_from(content, layout.HEADER.size) != (crc32c(content[: layout.HEADER.size]),):
        raise ValueError("its header has another checksum")
    if version != layout.VERSION:
        raise ValueError(f"its version is {version}, not {layout.VERSION}")
    if length != len(content) or checksum != crc32c(content[layout.ALIGNMENT :]):
        raise ValueError("it has another length or checksum than its header says")
    if any(content[layout.HEADER.size + layout.CHECKSUM.size : layout.ALIGNMENT]):
        raise ValueError("its header has more than this version knows")
    table = content[layout.ALIGNMENT : layout.ALIGNMENT + layout.SECTION.size * count]
    return {kind: content[offset : offset + size] for kind, _, offset, size in layout.SECTION.iter_unpack(table)}


def _meta(section: bytes) -> dict[str, Meta]:
    entries: dict[str, Meta] = {}
    at = layout.COUNT.size
    for _ in range(layout.COUNT.unpack_from(section)[0]):
        key_length, kind, _, length = layout.META.unpack_from(section, at)
        at += layout.META.size
        key, value = section[at : at + key_length], section[at + key_length : at + key_length + length]
        entries[key.decode()] = _meta_value(MetaType(kind), value)
        at += key_length + length
    return entries


def _meta_value(kind: MetaType, value: bytes) -> Meta:
    if kind == MetaType.TEXT:
        return value.decode()
    if kind == MetaType.FLOATS:
        return np.frombuffer(value, "<f4")
    if kind == MetaType.COUNTS:
        return np.frombuffer(value, "<u4")
    texts, at = [], 0
    while at < len(value):
        (length,) = layout.COUNT.unpack_from(value, at)
        at += layout.COUNT.size
        texts.append(value[at : at + length].decode())
        at += length
    return texts


def _tensors(table: bytes, data: bytes) -> list[NDArray[Any]]:
    tensors: list[NDArray[Any]] = []
    for kind, rank, *dims, offset, length in layout.TENSOR.iter_unpack(table[layout.TENSORS.size :]):
        raw, shape = data[offset : offset + length], dims[:rank]
        if not 1 <= rank <= len(dims) or 0 in shape:
            raise ValueError(f"a tensor is {shape}")
        if kind == TensorType.BITS:
            words = np.frombuffer(raw, np.uint8).reshape(*shape[:-1], 4 * -(-shape[-1] // 32))
            bits = np.unpackbits(words, axis=-1, bitorder="little", count=shape[-1])
            tensors.append(bits.view(np.bool_))
        else:
            tensors.append(np.frombuffer(raw, _ELEMENTS[TensorType(kind)]).reshape(shape).copy())
    return tensors


def _graph(section: bytes, tensors: list[NDArray[Any]]) -> Graph:
    value_count, node_count, source, output_count = layout.GRAPH.unpack_from(section)
    start = layout.GRAPH.size + layout.OUTPUT.size * output_count
    at = start + layout.VALUE.size * value_count
    outputs = layout.OUTPUT.iter_unpack(section[layout.GRAPH.size : start])
    values = [
        Value(h, w, c, bits=ValueType(kind) == ValueType.BITS)
        for kind, h, w, c in layout.VALUE.iter_unpack(section[start:at])
    ]
    graph = Graph(values[source])
    for _ in range(node_count):
        op, inputs, constants, attributes, output, name = layout.NODE.unpack_from(section, at)
        form = f"<{inputs + constants}I{attributes}i"
        numbers = struct.unpack_from(form, section, at + layout.NODE.size)
        at += layout.NODE.size + struct.calcsize(form)
        held = [None if n == layout.ABSENT else tensors[n] for n in numbers[inputs : inputs + constants]]
        read_from = [values[n] for n in numbers[:inputs]]
        made = _node(Op(op), _name(name), read_from, values[output], held, numbers[inputs + constants :])
        graph.nodes.append(made)
    graph.outputs = {_name(name): values[number] for number, name in outputs}
    return graph


def _name(field: bytes) -> str:
    return field.rstrip(b"\0").decode()


def _node(
    op: Op, name: str, inputs: list[Value], output: Value, tensors: list[Constant], attributes: Sequence[int]
) -> Node:
    if op in (Op.CONV_FLOAT, Op.CONV_BINARY, Op.CONV_INT8):
        return _convolution(op, name, inputs, output, tensors, attributes)
    if op == Op.BINARIZE:
        (interval,) = tensors
        return Binarize(name, inputs, output, _present(interval, np.float32))
    if op == Op.POINTWISE:
        (activation,) = attributes
        return Pointwise(name, inputs, output, _epilogue(tensors, activation))
    if op == Op.PAD_CHANNELS:
        before, after = attributes
        return PadChannels(name, inputs, output, before, after)
    kernel_h, kernel_w, stride_h, stride_w, top, left, bottom, right, *rest = attributes
    window = Window((kernel_h, kernel_w), (stride_h, stride_w), (top, left, bottom, right))
    if op == Op.AVERAGE_POOL:
        (counted,) = rest
        return AveragePool(name, inputs, output, window, bool(counted))
    if rest:
        raise ValueError(f"max_pool has {len(attributes)} attributes")
    return MaxPool(name, inputs, output, window)


def _convolution(
    op: Op, name: str, inputs: list[Value], output: Value, tensors: list[Constant], attributes: Sequence[int]
) -> Node:
    weight, *parts, last = tensors
    stride_h, stride_w, top, left, bottom, right, dilation_h, dilation_w, groups, activation, attribute = attributes
    kinds: dict[Op, type] = {Op.CONV_FLOAT: np.float32, Op.CONV_BINARY: np.bool_, Op.CONV_INT8: np.int8}
    weight = _present(weight, kinds[op])
    _, kernel_h, kernel_w, _ = weight.shape
    window = Window((kernel_h, kernel_w), (stride_h, stride_w), (top, left, bottom, right), (dilation_h, dilation_w))
    epilogue = _epilogue(parts, activation)
    if op == Op.CONV_FLOAT:
        return ConvFloat(name, inputs, output, weight, window, groups, epilogue)
    if op == Op.CONV_INT8:
        (multiplier,) = _present(last, np.float32).tolist()
        return ConvInt8(name, inputs, output, weight, window, groups, epilogue, multiplier, attribute)
    signs = np.where(weight, -1, 1).astype(np.int8)
    interval = None if last is None else _present(last, np.int32)
    return ConvBinary(name, inputs, output, signs, window, groups, epilogue, attribute, interval)


def _epilogue(tensors: list[Constant], activation: int) -> Epilogue:
    scale, bias, slope, post = (
        None if tensor is None else _present(tensor, np.float32).astype(np.float64) for tensor in tensors
    )
    return Epilogue(scale, bias, Activation(activation), slope, post)


def _present(tensor: Constant, kind: type) -> NDArray[Any]:
    if tensor is None or tensor.dtype != kind:
        raise ValueError("a tensor of a node is absent, or of another type than its operator needs")
    return tensor
