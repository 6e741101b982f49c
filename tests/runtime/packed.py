"""The smallest packed model that a learner can stand on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tests.runtime.obn import Graph


def write_backbone(
    path: Path,
    weight: ArrayLike,
    bias: ArrayLike | None,
    range_: tuple[float, float],
    classes: Sequence[str],
    samples: Sequence[int] | None,
    shape: tuple[int, int, int] | None = None,
) -> Path:
    """Its features are its input (1 x 1 x d), or d fixed random projections of an image of ``shape`` (H, W, C)."""
    weight = np.asarray(weight, np.float32)
    width = weight.shape[1]
    graph = Graph()
    if shape is None:
        features = graph.pointwise(graph.input(1, 1, width))
    else:
        projection = np.random.default_rng(0).standard_normal((width, *shape)) / np.sqrt(np.prod(shape))
        features = graph.conv(graph.input(*shape), projection.astype(np.float32))
    graph.output(features, "features")
    bias = None if bias is None else np.asarray(bias, np.float32)
    graph.output(graph.conv(features, weight[:, None, None, :], bias=bias), "logits")
    channels = width if shape is None else shape[2]
    graph.meta = {
        "classes": list(classes),
        "features.range": [float(v) for v in range_],
        "input.mean": [0.0] * channels,
        "input.std": [1.0] * channels,
    }
    if samples is not None:
        graph.meta["classes.samples"] = list(samples)
    path.write_bytes(graph.to_bytes())
    return path
