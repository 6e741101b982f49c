"""The teachable tail of an ``.obn`` file, read as docs/file-format.md states it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit import _engine
from onebit.errors import OnebitError
from onebit.format.codes import Op
from onebit.format.graph import Graph
from onebit.format.reader import read

_ASSUMED_SAMPLES = 1000  # of each class, where the file does not say


@dataclass(frozen=True)
class PackedNode:
    """A node of the file: values by number, and its tensors, None where absent."""

    op: Op
    inputs: list[int]
    output: int
    tensors: list[NDArray[Any] | None]
    attributes: list[int]


@dataclass(frozen=True)
class PackedTail:
    """What lies between ``latents`` and the logits of a teachable file.

    Attributes:
        nodes: those of the tail, in order; real-valued convolutions hold their float32 weights.
        latents, features: numbers of these values.
        shapes: (h, w, c) of each value of the file.
        ranges: least and largest number of each value of floats in the tail.
        scale: float32 (c,), the latents' magnitudes.
        latent: int8 (O, kh, kw, I), levels of the latent weights of each binary convolution, in the order of the nodes.
        latent_max: what a level of 127 is worth, of each.
        estimators: 1 for the clipped, 2 for the quadratic one, of each.
        replay: bool (N, h, w, c), True for −1; labels: their classes.
        weight: float32 (K, d), of the head; bias: (K,), or None.
        samples: training images of each class.
    """

    nodes: list[PackedNode]
    latents: int
    features: int
    shapes: list[tuple[int, int, int]]
    ranges: dict[int, tuple[float, float]]
    scale: NDArray[np.float32]
    latent: list[NDArray[np.int8]]
    latent_max: list[float]
    estimators: list[int]
    replay: NDArray[np.bool_]
    labels: list[int]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    samples: list[int]


def read_tail(path: str | os.PathLike[str]) -> PackedTail:
    """Reads a file that ``onebit export --teachable`` wrote.

    Raises:
        OnebitError: the file is damaged, or has no tail.
    """
    model = _engine.Model(os.fsencode(path))  # checks the file
    ranges = model.floats("tail.ranges")
    if ranges is None:
        raise OnebitError(f"{path} has no tail that can be taught", hint="export it with --teachable")
    contents = read(Path(path).read_bytes())
    graph, tensors = contents.graph, contents.tensors
    every = graph.values()
    number = {id(value): index for index, value in enumerate(every)}
    latents, features, logits = (number[id(graph.outputs[name])] for name in ("latents", "features", "logits"))
    shapes = [value.sides for value in every]
    nodes = _nodes(graph, number)
    depending, wanted = {latents}, {features}
    for node in nodes:
        if depending.intersection(node.inputs):
            depending.add(node.output)
    for node in reversed(nodes):
        if node.output in wanted and node.output != latents:
            wanted.update(node.inputs)
    tail = [node for node in nodes if node.output in depending & wanted - {latents}]
    values = [latents, *(node.output for node in tail if not every[node.output].bits)]
    made = {node.output: node for node in nodes}
    scale, head = made[latents].tensors[1], made[logits]
    replay = model.integers("tail.replay") or []
    classes = shapes[logits][2]
    stored = [tensors[number] for number in model.integers("tail.latent") or []]
    return PackedTail(
        nodes=tail,
        latents=latents,
        features=features,
        shapes=shapes,
        ranges=dict(zip(values, zip(ranges[::2], ranges[1::2], strict=True), strict=True)),
        scale=np.ones(shapes[latents][2], np.float32) if scale is None else scale,
        latent=stored,
        latent_max=model.floats("tail.latent_max") or [],
        estimators=model.integers("tail.estimators") or [],
        replay=tensors[replay[0]] if replay else np.zeros((0, *shapes[latents]), np.bool_),
        labels=list(replay[1:]),
        weight=_head_weight(head).reshape(classes, -1),
        bias=_sum(head.tensors[2], head.tensors[4]),
        samples=list(model.integers("classes.samples") or [_ASSUMED_SAMPLES] * classes),
    )


def _head_weight(head: PackedNode) -> NDArray[np.float32]:
    weight, scale = head.tensors[0], head.tensors[1]
    assert weight is not None
    if head.op == Op.CONV_INT8:
        assert head.tensors[5] is not None
        weight = weight.astype(np.float32) * head.tensors[5][0]
    return weight if scale is None else weight * scale[:, None, None, None]


def _sum(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _nodes(graph: Graph, number: dict[int, int]) -> list[PackedNode]:
    return [
        PackedNode(
            node.op, [number[id(x)] for x in node.inputs], number[id(node.output)], node.constants(), node.attributes()
        )
        for node in graph.nodes
    ]
