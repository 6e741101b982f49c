"""The teachable tail of an ``.obn`` file, read as docs/file-format.md states it."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit import _engine
from onebit.errors import OnebitError

_ABSENT = 0xFFFFFFFF
_ASSUMED_SAMPLES = 1000  # of each class, where the file does not say
CONV_FLOAT, CONV_BINARY, BINARIZE, POINTWISE, MAX_POOL, AVERAGE_POOL, PAD_CHANNELS, _CONV_INT8 = range(1, 9)


@dataclass(frozen=True)
class PackedNode:
    """A node of the file: values by number, and its tensors, None where absent."""

    op: int
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
    sections = _sections(Path(path).read_bytes())
    tensors = _tensors(sections[b"TNSR"], sections[b"DATA"])
    outputs, shapes, bits, nodes = _graph(sections[b"GRPH"], tensors)
    latents, features, logits = (outputs[name] for name in ("latents", "features", "logits"))
    depending, wanted = {latents}, {features}
    for node in nodes:
        if depending.intersection(node.inputs):
            depending.add(node.output)
    for node in reversed(nodes):
        if node.output in wanted and node.output != latents:
            wanted.update(node.inputs)
    tail = [node for node in nodes if node.output in depending & wanted - {latents}]
    values = [latents, *(node.output for node in tail if not bits[node.output])]
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
    if head.op == _CONV_INT8:
        assert head.tensors[5] is not None
        weight = weight.astype(np.float32) * head.tensors[5][0]
    return weight if scale is None else weight * scale[:, None, None, None]


def _sum(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _sections(content: bytes) -> dict[bytes, bytes]:
    count = struct.unpack_from("<I", content, 12)[0]
    entries = [struct.unpack_from("<4sIQQ", content, 64 + 24 * index) for index in range(count)]
    return {kind: content[offset : offset + length] for kind, _, offset, length in entries}


def _tensors(table: bytes, data: bytes) -> list[NDArray[Any]]:
    """Bits as bool, True for −1."""
    tensors = []
    for index in range(struct.unpack_from("<I", table)[0]):
        dtype, rank, *dims, offset, length = struct.unpack_from("<II4IQQ", table, 8 + 40 * index)
        raw, shape = data[offset : offset + length], dims[:rank]
        if dtype == 3:
            words = np.frombuffer(raw, np.uint8).reshape(*shape[:-1], -1)
            tensors.append(np.unpackbits(words, axis=-1, bitorder="little")[..., : shape[-1]].astype(np.bool_))
        else:
            tensors.append(np.frombuffer(raw, {1: "<f4", 2: "<i4", 4: "i1"}[dtype]).reshape(shape).copy())
    return tensors


def _graph(
    section: bytes, tensors: list[NDArray[Any]]
) -> tuple[dict[str, int], list[tuple[int, int, int]], list[bool], list[PackedNode]]:
    """Outputs, (h, w, c) of the values, whether they are bits, and the nodes."""
    values, count, _, outputs = struct.unpack_from("<4I", section)
    at = 16
    named = [struct.unpack_from("<I60s", section, at + 64 * index) for index in range(outputs)]
    at += 64 * outputs
    kinds = [struct.unpack_from("<4I", section, at + 16 * index) for index in range(values)]
    at += 16 * values
    nodes = []
    for _ in range(count):
        op, inputs, constants, attributes, output = struct.unpack_from("<5I", section, at)
        numbers = struct.unpack_from(f"<{inputs + constants}I{attributes}i", section, at + 80)
        at += 80 + 4 * len(numbers)
        held = [None if n == _ABSENT else tensors[n] for n in numbers[inputs : inputs + constants]]
        nodes.append(PackedNode(op, list(numbers[:inputs]), output, held, list(numbers[inputs + constants :])))
    names = {name.rstrip(b"\0").decode(): value for value, name in named}
    return names, [(h, w, c) for _, h, w, c in kinds], [kind == 2 for kind, *_ in kinds], nodes
