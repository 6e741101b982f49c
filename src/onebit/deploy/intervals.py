"""The pass that turns quantisers into intervals: where only bits are read, a binary convolution writes bits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onebit.deploy.elementwise import NotPerChannel, PerChannel
from onebit.deploy.threshold import affine_epilogue, dot_products, float_intervals, integer_intervals
from onebit.errors import OnebitError
from onebit.format.epilogue import Epilogue
from onebit.format.graph import Binarize, ConvBinary, Graph, Node, Pointwise, Value


@dataclass(eq=False)
class Opaque(Pointwise):
    """No operator of the format: a quantiser that stands alone, until an interval takes it in."""


_Readers = list[tuple[Binarize, PerChannel]]


def insert_intervals(graph: Graph) -> None:
    """Gives every ``Binarize`` its interval and every ``ConvBinary`` an interval or an epilogue, in place.

    Modules between a value and a quantiser that alone reads them disappear into the interval.

    Raises:
        OnebitError: a quantiser is not one interval per channel, or a binary layer's output transform is not affine.
    """
    for value in graph.values():
        readers = _readers(graph, value)
        if readers and not _write_bits(graph, value, readers):
            _absorb(value, readers)
    graph.remove_dead()
    for node in graph.nodes:
        if isinstance(node, Binarize) and not len(node.interval):
            node.interval = _own_interval(node)
        elif isinstance(node, ConvBinary) and node.interval is None:
            node.epilogue = _epilogue(node)
        elif isinstance(node, Opaque):
            raise OnebitError(
                f"layer '{node.name}': a quantizer's ±1 is used elsewhere than in a binary layer",
                hint="make it the input_quantizer of the binary layers that read it",
            )
    _share(graph)


def _readers(graph: Graph, value: Value) -> _Readers | None:
    """The quantisers that ``value`` ends in and what lies between; None if anything else reads it."""
    found: _Readers = []
    if graph.is_output(value):
        return None
    for node in graph.consumers(value):
        if isinstance(node, Binarize) and not len(node.interval):
            found.append((node, _function(node)))
        elif isinstance(node, Pointwise) and len(node.inputs) == 1:
            further = _readers(graph, node.output)
            if further is None:
                return None
            found += [(reader, _function(node).then(function)) for reader, function in further]
        else:
            return None
    return found


def _write_bits(graph: Graph, value: Value, readers: _Readers) -> bool:
    """Lets a binary convolution write the bits that all its readers agree on."""
    conv = graph.producer(value)
    if not isinstance(conv, ConvBinary):
        return False
    values = dot_products(conv)
    try:
        intervals = [integer_intervals(_function(conv).then(function), values, value.c) for _, function in readers]
    except NotPerChannel:
        return False
    if any(not np.array_equal(intervals[0], interval) for interval in intervals[1:]):
        return False
    conv.interval = intervals[0]
    conv.output = Value(*value.sides, bits=True)
    for reader, _ in readers:
        graph.replace(reader.output, conv.output)
        graph.nodes.remove(reader)
    return True


def _absorb(value: Value, readers: _Readers) -> None:
    """Lets the quantisers read ``value`` itself, through intervals that hold all that lies between."""
    try:
        intervals = [float_intervals(function, value.c) for _, function in readers]
    except NotPerChannel:
        return
    for (reader, _), interval in zip(readers, intervals, strict=True):
        reader.inputs, reader.interval = [value], interval


def _own_interval(node: Binarize) -> NDArray[np.float32]:
    try:
        return float_intervals(_function(node), node.output.c)
    except NotPerChannel as problem:
        raise OnebitError(
            f"layer '{node.name}' cannot be exported: {problem}",
            hint="in evaluation mode an input quantizer gives ±1, the same for every sample and monotone in a channel",
        ) from problem


def _epilogue(conv: ConvBinary) -> Epilogue:
    try:
        return affine_epilogue(conv, _function(conv))
    except NotPerChannel as problem:
        raise OnebitError(
            f"layer '{conv.name}' cannot be exported: its output_transform has no packed form: {problem}",
            hint="an output transform scales and shifts each channel, or is read by one quantizer only",
        ) from problem


def _share(graph: Graph) -> None:
    """Equal intervals on one value are one node."""
    seen: dict[tuple[int, bytes], Binarize] = {}
    for node in graph.nodes[:]:
        if isinstance(node, Binarize):
            first = seen.setdefault((id(node.inputs[0]), node.interval.tobytes()), node)
            if first is not node:
                graph.replace(node.output, first.output)
                graph.nodes.remove(node)


def _function(node: Node) -> PerChannel:
    assert isinstance(node.function, PerChannel)
    return node.function
