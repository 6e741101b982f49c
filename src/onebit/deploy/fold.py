"""The pass that moves what lies between convolutions (scale, bias, shortcut, activation) into their epilogues."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from onebit.errors import OnebitError
from onebit.format.codes import Activation
from onebit.format.epilogue import Epilogue
from onebit.format.graph import ConvBinary, ConvFloat, Graph, Node, Pointwise

_Vector = NDArray[np.float64] | None


def fold(graph: Graph) -> None:
    """Merges every ``Pointwise`` into the node before it, or into the dense layer after it, where algebra allows.

    Raises:
        OnebitError: a layer that differs between the positions of an image cannot be merged and has no operator.
    """
    for node in graph.nodes[:]:
        if isinstance(node, Pointwise) and node in graph.nodes:
            if _by_position(node):
                _into_next(graph, node)
            else:
                _into_previous(graph, node)


def _into_previous(graph: Graph, node: Pointwise) -> None:
    """The node takes the place of both, so that a shortcut is known by then.

    A binary convolution is taken before another one, because it can write the bits of the sum too; else the latest.
    """
    before_it = reversed(graph.nodes[: graph.nodes.index(node)])
    for before in sorted(before_it, key=lambda other: not isinstance(other, ConvBinary)):
        if not any(before.output is x for x in node.inputs) or not isinstance(
            before, ConvFloat | ConvBinary | Pointwise
        ):
            continue
        shortcut = [x for x in node.inputs if x is not before.output]
        if len(shortcut) + 1 != len(node.inputs) or graph.is_output(before.output):
            continue  # x + x, or a value that is wanted itself
        if len(graph.consumers(before.output)) > 1 or before.output.bits:
            continue
        merged = merge(before.epilogue, len(before.inputs) == 2, node.epilogue, bool(shortcut))
        if merged is None:
            continue
        before.epilogue = merged
        before.inputs = [*before.inputs, *shortcut]
        before.output = node.output
        graph.nodes.remove(before)
        graph.nodes[graph.nodes.index(node)] = before
        return


def merge(first: Epilogue, first_adds: bool, second: Epilogue, second_adds: bool) -> Epilogue | None:
    """One epilogue that does the first and then the second, or None; ``adds``: it has a shortcut.

    Example:
        >>> two, one = np.array([2.0]), np.array([1.0])
        >>> merge(Epilogue(scale=two, bias=one), False, Epilogue(scale=two, activation=Activation.RELU), True)
        Epilogue(scale=array([4.]), bias=array([2.]), activation=<Activation.RELU: 1>, slope=None, post=None)
        >>> merge(Epilogue(activation=Activation.RELU), False, Epilogue(bias=one), False)
        Epilogue(scale=None, bias=None, activation=<Activation.RELU: 1>, slope=None, post=array([1.]))
    """
    bends = first.activation != Activation.NONE
    if not bends and not first_adds:
        bias = _add(_multiply(_add(first.bias, first.post), second.scale), second.bias)
        return replace(second, scale=_multiply(first.scale, second.scale, one=True), bias=bias)
    if second.scale is not None or second_adds:
        return None
    if not bends:
        return replace(second, scale=first.scale, bias=_add(_add(first.bias, first.post), second.bias))
    if second.activation == Activation.NONE:
        return replace(first, post=_add(_add(first.post, second.bias), second.post))
    return None


def _multiply(a: _Vector, b: _Vector, one: bool = False) -> _Vector:
    """a · b, where an absent factor is 1 if ``one`` or if it is b, and an absent a is 0 otherwise."""
    if a is None or b is None:
        return b if a is None and one else a
    return a * b


def _add(a: _Vector, b: _Vector) -> _Vector:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _by_position(node: Pointwise) -> bool:
    parts = node.epilogue
    return any(part is not None and part.ndim == 3 for part in (parts.scale, parts.bias, parts.slope, parts.post))


def _into_next(graph: Graph, node: Pointwise) -> None:
    """An affine layer with a number for each element goes into the weight of the dense layer that reads it."""
    readers: list[Node] = graph.consumers(node.output)
    epilogue = node.epilogue
    straight = epilogue.activation == Activation.NONE and len(node.inputs) == 1
    dense = readers[0] if len(readers) == 1 else None
    if not straight or not isinstance(dense, ConvFloat) or dense.weight.shape[1:] != node.output.sides:
        raise OnebitError(
            f"layer '{node.name}' cannot be exported: it treats the positions of a channel differently",
            hint="only in front of a dense layer can a flattened image be scaled element by element",
        )
    weight = dense.weight.astype(np.float64)
    shift = _add(epilogue.bias, epilogue.post)
    if shift is not None:
        bias = (weight * shift).sum(axis=(1, 2, 3))
        after = dense.epilogue
        dense.epilogue = replace(after, bias=_add(_multiply(bias, after.scale), after.bias))
    dense.weight = (weight if epilogue.scale is None else weight * epilogue.scale).astype(np.float32)
    graph.replace(node.output, node.inputs[0])
    graph.nodes.remove(node)
