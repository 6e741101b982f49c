"""A small classifier for the tests: 8 x 8 RGB in, `features` of 32 and `logits` of 4 out."""

import numpy as np

from tests.runtime.obn import Graph

CLASSES = ["ant", "bee", "[red]cat", "dög"]


def classifier(seed: int = 0, channels: int = 3) -> Graph:
    rng = np.random.default_rng(seed)
    graph = Graph()
    x = graph.input(8, 8, channels)
    x = graph.conv(x, _floats(rng, 32, 3, 3, channels), pad=(1, 1, 1, 1), activation="relu")
    always = np.stack([np.ones(32), np.full(32, np.inf)], axis=1).astype(np.float32)
    for _ in range(2):
        weight = rng.choice(np.array([-1, 1], np.int8), (32, 3, 3, 32))
        scale = np.full(32, 0.01, np.float32)
        x = graph.conv(graph.binarize(x, always), weight, pad=(1, 1, 1, 1), scale=scale, residual=x)
    x = graph.pool("average_pool", x, (8, 8), (1, 1))
    graph.output(x, "features")
    graph.output(graph.conv(x, _floats(rng, 4, 1, 1, 32)), "logits")
    graph.meta = {
        "classes": CLASSES,
        "classes.samples": [10, 20, 30, 40],
        "features.range": [0.0, 9.0],
        "input.mean": [0.5] * channels,
        "input.std": [0.25] * channels,
        "provenance": {"recipe": "none"},
        "report": {"layers": []},
    }
    return graph


def _floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) / 4).astype(np.float32)
