"""Real-valued layers in bytes, as far as the calibration images keep their top-1.

A convolution of reals y = Σ w·x becomes one of integers, with one scale per tensor for the input and one per output
channel for the weights (Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018, equations 1 to 4; Krishnamoorthi, arXiv 1806.08342, section 3):

    x ≈ s_x · (q − z)       q = clamp(rint(x / s_x) + z, 0, 255),  z an integer, so that 0, the padding, is exact
    w ≈ s_w[o] · v          v from −127 to 127, s_w[o] = r · max|w[o]| / 127, r of least squared error
    y ≈ s_x · s_w[o] · Σ v · (q − z)

The sum is exact; s_x · s_w[o] goes into the scale of the epilogue, which stays real.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from onebit.deploy import calibrate
from onebit.errors import OnebitError
from onebit.format.graph import ConvFloat, ConvInt8, Graph, Node
from onebit.format.limits import MAX_INT8_TAPS

CLIPPING_RATIOS = (1.0, 0.98, 0.96, 0.94, 0.92, 0.9, 0.85, 0.8)
_HIGHEST = 127

_Layers = Mapping[Node, ConvInt8]


@dataclass(frozen=True)
class Agreement:
    """How the logits with int8 layers compare with those in float32.

    Attributes:
        images: calibration images compared.
        agreeing: those whose top-1 is the same: all, but for the share that the caller tolerates.
        agreeing_with_all: those whose top-1 is the same if every layer that can be is int8.
        largest_logit_difference: over all images and logits.
        largest_logit: magnitude, in float32, to compare it with.

    Example:
        >>> print(Agreement(512, 512, 9, 0.25, 12.0))
        int8: top-1 is that of float32 on 512 of 512 calibration images (9 with every layer in int8); logits, up to 12,
        differ by up to 0.25
    """

    images: int
    agreeing: int
    agreeing_with_all: int
    largest_logit_difference: float
    largest_logit: float

    def __str__(self) -> str:
        return (
            f"int8: top-1 is that of float32 on {self.agreeing} of {self.images} calibration images "
            f"({self.agreeing_with_all} with every layer in int8); logits, up to {self.largest_logit:.3g}, "
            f"differ by up to {self.largest_logit_difference:.3g}"
        )


def byte_grid(low: float, high: float) -> tuple[float, int]:
    """The multiplier 1 / s_x and the zero point z that spread the range from low to high, and 0, over a byte.

    A number in the range is off by half a step, 0.5 · s_x, at most, and 0 is exact.

    Raises:
        OnebitError: the range is too small or too large for a multiplier in float32.

    Example:
        >>> byte_grid(-1.0, 3.0)
        (63.75, 64)
    """
    low, high = min(low, 0.0), max(high, 0.0)
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        multiplier = np.float32(255 / np.float64(high - low))
    if not np.finfo(np.float32).tiny <= multiplier < np.inf:
        raise OnebitError(f"no byte holds numbers from {low} to {high}")
    return float(multiplier), round(-low * float(multiplier))


def quantize_weight(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """The integers v, of the weight's shape, and the scales s_w, one per output channel.

    Example:
        >>> values, scale = quantize_weight(np.float32([[[[1, -0.5]]], [[[0, 0]]]]))
        >>> values.reshape(2, 2), scale * 127
        (array([[127, -64],
                [  0,   0]], dtype=int8), array([1., 0.]))
    """
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    largest = np.abs(rows).max(axis=1)
    best, error = largest / _HIGHEST, np.full(len(rows), np.inf)
    for ratio in CLIPPING_RATIOS:
        scale = ratio * largest / _HIGHEST
        loss = np.square(_levels(rows, scale) * scale[:, None] - rows).sum(axis=1)
        best, error = np.where(loss < error, scale, best), np.minimum(loss, error)
    return _levels(rows, best).astype(np.int8).reshape(weight.shape), best


def in_bytes(conv: ConvFloat, low: float, high: float) -> ConvInt8:
    """The layer with an input from low to high in int8.

    Raises:
        OnebitError: it has no such form; the message says why.
    """
    if conv.groups != 1:
        raise OnebitError("it has groups")
    if conv.window.dilation[1] != 1:
        raise OnebitError("it is dilated")
    if conv.weight[0].size > MAX_INT8_TAPS:
        raise OnebitError(f"its dot product of {conv.weight[0].size} is too long")
    multiplier, zero_point = byte_grid(low, high)
    weight, scale = quantize_weight(conv.weight)
    scale = scale / multiplier
    epilogue = replace(conv.epilogue, scale=scale if conv.epilogue.scale is None else scale * conv.epilogue.scale)
    layer = ConvInt8(conv.name, conv.inputs, conv.output, weight, conv.window, 1, epilogue, multiplier, zero_point)
    layer.check()
    return layer


def quantize(
    graph: Graph,
    images: Tensor,
    pixels: tuple[float, float] | None,
    tolerance: float = 0.0,
    trained: Collection[Node] = (),
) -> tuple[Agreement, dict[Node, str]]:
    """Turns real-valued convolutions and dense layers to int8, in place, as far as the images keep their top-1.

    If too many do not, layers go back to float32, first the one that alone changes the logits of those images most,
    until enough do. The logits compared are the engine's own.

    Args:
        graph: folded.
        images: float32 (N, C, H, W), real ones: they give the ranges of the layers' inputs.
        pixels: range of the graph's input where it is known; else it is that of the images.
        tolerance: share of the images whose top-1 may change, from 0 to 1.
        trained: nodes that a device trains, which needs their real numbers.

    Returns:
        The comparison, and for each real-valued layer of the graph why it is in int8 or not.
    """
    layers: dict[Node, ConvInt8] = {}
    floats = [node for node in graph.nodes if isinstance(node, ConvFloat)]
    remarks: dict[Node, str] = {node: "stays float32: a device trains it" for node in floats if node in trained}
    floats = [node for node in floats if node not in remarks]
    for conv, (low, high) in zip(
        floats, calibrate.ranges(graph, images, [conv.inputs[0] for conv in floats]), strict=True
    ):
        if conv.inputs[0] is graph.input and pixels is not None:
            low, high = min(low, pixels[0]), max(high, pixels[1])
        try:
            layers[conv] = in_bytes(conv, low, high)
        except OnebitError as problem:
            remarks[conv] = f"stays float32: {problem.message}"
    agreement, harm = _settle(graph, images, layers, int(tolerance * len(images) + 1e-6))
    for node, moved in harm.items():
        remarks[node] = f"stays float32: in int8, alone it moves a logit by {moved:.3g} and top-1 changes"
    remarks.update({layer: "in int8" for layer in layers.values()})
    graph.nodes = _nodes(graph, layers)
    return agreement, remarks


def _settle(
    graph: Graph, images: Tensor, layers: dict[Node, ConvInt8], max_changed: int
) -> tuple[Agreement, dict[Node, float]]:
    """Takes layers out of ``layers`` until at most ``most`` images change; returns how each of them moves a logit."""
    expected = _logits(graph, images, {})
    logits = _logits(graph, images, layers)
    doubtful = first = _changed(expected, logits)
    harm: dict[Node, float] = {}
    if first.sum() > max_changed:
        alone = {conv: _logits(graph, images[first], {conv: layer}) for conv, layer in layers.items()}
        moved = {conv: _distance(expected[first], y) for conv, y in alone.items()}
        for conv in sorted(moved, key=lambda conv: -moved[conv]):
            del layers[conv]
            harm[conv] = moved[conv]
            if _changed(expected[doubtful], _logits(graph, images[doubtful], layers)).sum() > max_changed:
                continue  # without a look at the other images
            logits = _logits(graph, images, layers)
            changed = _changed(expected, logits)
            if changed.sum() <= max_changed:
                break
            doubtful = doubtful | changed
    return Agreement(
        images=len(images),
        agreeing=len(images) - int(_changed(expected, logits).sum()),
        agreeing_with_all=len(images) - int(first.sum()),
        largest_logit_difference=_distance(expected, logits),
        largest_logit=float(np.abs(expected).max()),
    ), harm


def _nodes(graph: Graph, layers: _Layers) -> list[Node]:
    return [layers.get(node, node) for node in graph.nodes]


def _logits(graph: Graph, images: Tensor, layers: _Layers) -> NDArray[np.float32]:
    """(N, h, w, classes), with some layers in int8."""
    variant = replace(graph, nodes=_nodes(graph, layers))
    batches = calibrate.outputs(variant, images, [graph.outputs["logits"]], "comparing int8 with float32")
    return np.concatenate([logits for (logits,) in batches])


def _changed(expected: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether an image's top-1 is another, (N,)."""
    return (expected.argmax(axis=-1) != logits.argmax(axis=-1)).any(axis=(1, 2))


def _distance(expected: NDArray[np.float32], logits: NDArray[np.float32]) -> float:
    return float(np.abs(expected - logits).max())


def _levels(rows: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """rint(w / s), clipped; a channel of zeros has the scale 0."""
    return np.rint(rows / np.where(scale > 0, scale, 1)[:, None]).clip(-_HIGHEST, _HIGHEST)
