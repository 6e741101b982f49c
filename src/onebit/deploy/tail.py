"""The teachable tail: what a file needs so that a device can train the last blocks of a packed network.

The tail is every node between the value ``latents``, which a :class:`onebit.nn.LatentSign` makes, and
``features``. The file holds it as inference needs it; added here are the ranges of its values, the latent weights
behind its bits, and latents to replay (docs/file-format.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from onebit.deploy import calibrate
from onebit.errors import OnebitError
from onebit.format.graph import (
    AveragePool,
    Binarize,
    ConvBinary,
    ConvFloat,
    Graph,
    MaxPool,
    Node,
    PadChannels,
    Pointwise,
)
from onebit.format.layout import Meta
from onebit.format.writer import tensor_count

_LEVELS = 255
_MAX_TERMS = 32767  # per dot product, which a device keeps in 16 bits
_HIGHEST = 127
_MAX_MISMATCH = 0.25  # share of packed signs that are not those of the latent weights
_MIN_MAGNITUDE, _MAX_MAGNITUDE = 1e-30, 1e30  # what 8-bit levels can be made of
_MAX_BACKWARD_TERMS = 2**24 // 255  # taps times output channels: the terms of a sum in the backward pass
_MAX_SIDE = 64
_MAX_WINDOWS = 4096  # of a pool that overlap in one pixel


@dataclass(frozen=True)
class Teachable:
    """Asks :func:`onebit.deploy.export` for a tail that can be trained, with samples that are replayed then.

    Attributes:
        images: float32 (R, C, H, W), normalised as in training; none if nothing is to be replayed. The file keeps one
            bit per latent.
        labels: the class of each image, as in the logits. A device with room for fewer keeps some, spread evenly over
            them.
    """

    images: Tensor | None = None
    labels: Sequence[int] = ()


def describe(graph: Graph, images: Tensor, teachable: Teachable) -> tuple[dict[str, Meta], list[NDArray[Any]]]:
    """The entries of META and the additional tensors of a teachable file.

    Args:
        graph: folded, with the outputs ``latents`` and ``features``.
        images: float32 (N, C, H, W); the ranges are measured on them.
        teachable: the samples to replay.

    Raises:
        OnebitError: the network has no cut, or its tail cannot be trained; says why.
    """
    nodes = tail_nodes(graph)
    values = [graph.outputs["latents"], *(node.output for node in nodes if not node.output.bits)]
    ranges = np.array(calibrate.ranges(graph, images, values), np.float32)
    for node, (low, high) in zip([None, *(node for node in nodes if not node.output.bits)], ranges, strict=True):
        if not _MIN_MAGNITUDE < (max(high, 0) - min(low, 0)) / _LEVELS < _MAX_MAGNITUDE:
            where = "the latents" if node is None else f"layer '{node.name}'"
            raise OnebitError(f"{where}: numbers from {low} to {high} make no 8-bit levels", hint="train longer")
    cut = graph.producer(values[0])
    if isinstance(cut, ConvBinary) and cut.epilogue.scale is None:  # all ones, which a file of a tail states
        cut.epilogue = replace(cut.epilogue, scale=np.ones(values[0].c))
    convs = [node for node in nodes if isinstance(node, ConvBinary)]
    levels, largest = zip(*map(latent_levels, convs), strict=True) if convs else ((), ())
    extra: list[NDArray[Any]] = list(levels)
    first = tensor_count(graph)
    meta: dict[str, Meta] = {
        "tail.ranges": ranges.reshape(-1),
        "tail.latent": np.arange(first, first + len(convs), dtype=np.uint32),
        "tail.latent_max": np.array(largest, np.float32),
        "tail.estimators": np.array([conv.estimator for conv in convs], np.uint32),
    }
    if teachable.images is not None and len(teachable.images):
        labels = _labels(graph, teachable)
        extra.append(replay_bits(graph, teachable.images))
        meta["tail.replay"] = np.array([first + len(convs), *labels], np.uint32)
    return meta, extra


def summary(graph: Graph, teachable: Teachable) -> str:
    """One line for people about what a device can train."""
    trained = [node for node in tail_nodes(graph) if isinstance(node, ConvBinary | ConvFloat | Pointwise)]
    latents, count = graph.outputs["latents"], 0 if teachable.images is None else len(teachable.images)
    size = latents.h * latents.w * -(-latents.c // 32) * 4
    return f"teachable: {len(trained)} layers behind the cut; {count} latents of {size:,} bytes to replay"


def latent_levels(conv: ConvBinary) -> tuple[NDArray[np.int8], float]:
    """The latent weights as integers from −127 to 127, and the magnitude of the largest, which 127 stands for.

    The sign of a level, with sign(0) = +1, is the packed one. Methods change weights before their sign: they subtract
    the mean per channel, or round. Use whichever variant, with or without that mean, matches the packed signs better;
    where a sign still differs (near zero), store 0 or −1.

    Raises:
        OnebitError: more than a quarter of the packed signs are not those of the latent weights.
    """
    negative, latent = conv.weight < 0, conv.latent
    if latent is None:
        _refuse(conv, "it has no latent weights", "export a network that is trained with them")
    centred = latent - latent.mean(axis=(1, 2, 3), keepdims=True)
    latent = min(latent, centred, key=lambda w: np.count_nonzero((w < 0) != negative))
    largest = float(np.abs(latent).max())
    if np.mean((latent < 0) != negative) > _MAX_MISMATCH or largest == 0:
        _refuse(conv, "its bits are not the signs of its latent weights", "quantise weights by a scaled sign")
    levels = np.rint(latent.astype(np.float64) / largest * _HIGHEST)
    return np.where((levels < 0) == negative, levels, np.where(negative, -1, 0)).astype(np.int8), largest


def replay_bits(graph: Graph, images: Tensor) -> NDArray[np.bool_]:
    """Latents as the engine computes them, (N, h, w, c): True for −1."""
    batches = calibrate.outputs(graph, images, [graph.outputs["latents"]], "computing latents to replay")
    return np.concatenate([latents < 0 for (latents,) in batches])


def tail_nodes(graph: Graph) -> list[Node]:
    """The nodes between ``latents`` and ``features``, in their order.

    Raises:
        OnebitError: there is no cut, or a node of the tail cannot be trained.
    """
    if "latents" not in graph.outputs or "features" not in graph.outputs:
        raise OnebitError(
            "the network has no cut, so no tail of it can be taught"
            if "features" in graph.outputs
            else "the network has no attribute 'head', so it cannot be taught",
            hint="train it with the model option latent_sign, such as latent_sign: stages.3.0",
        )
    latents, features = graph.outputs["latents"], graph.outputs["features"]
    wanted, depending = {id(features)}, {id(latents)}
    for node in reversed(graph.nodes):
        if id(node.output) in wanted and node.output is not latents:
            wanted.update(id(x) for x in node.inputs)
    for node in graph.nodes:
        if any(id(x) in depending for x in node.inputs):
            depending.add(id(node.output))
    tail = [node for node in graph.nodes if id(node.output) in wanted & depending and node.output is not latents]
    if not tail:
        raise OnebitError("nothing lies between the cut and the features", hint="put the cut behind an earlier block")
    for node in tail:
        for x in node.inputs:
            if id(x) not in depending:
                _refuse(node, "it reads what bypasses the cut", "put the cut behind a block, not inside one")
        _check(graph, node)
    if features.h * features.w != 1:
        raise OnebitError("the features are not 1 x 1 pixels", hint="a tail ends in a mean over height and width")
    return tail


def _check(graph: Graph, node: Node) -> None:
    if isinstance(node, ConvBinary | ConvFloat):
        window = node.window
        if node.output.bits:
            _refuse(node, "it writes bits", "give the blocks of the tail a shortcut around each convolution")
        if node.groups != 1 or window.dilation != (1, 1) or node.last_attribute() != 0:
            _refuse(node, "it has groups, dilation or padding of ±1", "put the cut behind it")
        terms = node.weight[0].size
        if terms > _MAX_TERMS:
            _refuse(node, f"its dot product has more than {_MAX_TERMS} terms", "put the cut behind it")
        if node.weight.size // node.weight.shape[-1] > _MAX_BACKWARD_TERMS or max(window.kernel) > _MAX_SIDE:
            _refuse(node, "it has too many output channels or too large a kernel", "put the cut behind it")
    if isinstance(node, ConvBinary):
        if len(graph.consumers(node.inputs[0])) != 1:
            _refuse(node, "another convolution reads the same bits", "put the cut behind both")
    elif isinstance(node, ConvFloat):
        if not _MIN_MAGNITUDE < np.abs(node.weight).max() < _MAX_MAGNITUDE:
            _refuse(node, "its weights make no levels", "train longer")
    elif isinstance(node, Binarize):
        if not (node.interval[:, 1] == np.inf).all():
            _refuse(node, "it is not +1 from a threshold upwards", "put the cut behind it")
    elif isinstance(node, MaxPool):
        sides = zip(node.window.kernel, node.window.stride, (node.output.h, node.output.w), strict=True)
        if prod(min(side, -(-kernel // step)) for kernel, step, side in sides) > _MAX_WINDOWS:
            _refuse(node, f"more than {_MAX_WINDOWS} windows of it overlap", "put the cut behind it")
        if isinstance(node, AveragePool) and any(node.window.padding):
            _refuse(node, "it has padding", "put the cut behind it")
    elif not isinstance(node, PadChannels | Pointwise):
        _refuse(node, f"a device cannot train {node.kind}", "put the cut behind it")


def _labels(graph: Graph, teachable: Teachable) -> list[int]:
    labels, images = list(teachable.labels), teachable.images
    count = graph.outputs["logits"].c
    if images is None or len(labels) != len(images) or not all(0 <= label < count for label in labels):
        raise OnebitError(
            f"{len(labels)} labels for {0 if images is None else len(images)} images to replay and {count} classes",
            hint="give one per image, as in the logits",
        )
    return labels


def _refuse(node: Node, reason: str, hint: str) -> NoReturn:
    raise OnebitError(f"the tail cannot be taught: layer '{node.name}': {reason}", hint=hint)
