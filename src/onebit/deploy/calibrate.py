"""What the engine computes from a graph before it is exported: the numbers that the file will give on every machine."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from onebit import _engine
from onebit.format.graph import Graph, Value
from onebit.format.limits import MAX_OUTPUTS
from onebit.format.writer import serialize

_MAX_IMAGES = 64
_MAX_THREADS = 16
_MAX_BYTES = 2**28
_LONG = 10  # batches; a progress bar is shown from here on


def outputs(graph: Graph, images: Tensor, values: Sequence[Value], doing: str) -> Iterator[list[NDArray[np.float32]]]:
    """Runs a graph on images, batch after batch, with as many threads as PyTorch has, up to 16.

    Args:
        graph: folded.
        images: float32 (N, C, H, W).
        values: at most 64 values of the graph that are floats and not its input.
        doing: for the progress bar.

    Yields:
        One array (n, h, w, c) per value, for the next n images.
    """
    names = [str(index) for index in range(len(values))]
    bytes_each = 4 * sum(math.prod(value.sides) for value in graph.values())
    batch = max(1, min(_MAX_IMAGES, len(images), _MAX_BYTES // bytes_each))
    model = _engine.Model.from_bytes(serialize(replace(graph, outputs=dict(zip(names, values, strict=True))), {}))
    session = _engine.Session(model, batch, min(torch.get_num_threads(), _MAX_THREADS), "", names)
    console = Console(stderr=True)
    batches = images.split(batch)
    hidden = not console.is_terminal or len(batches) < _LONG
    for some in track(batches, doing, console=console, transient=True, disable=hidden):
        results = [np.empty((len(some), *value.sides), np.float32) for value in values]
        session.run(some.permute(0, 2, 3, 1).contiguous().numpy(), results)
        yield results


def ranges(graph: Graph, images: Tensor, values: Sequence[Value]) -> list[tuple[float, float]]:
    """The smallest and the largest number of each value over the images; arguments as in :func:`outputs`, any value."""
    found = {graph.input: (float(images.min()), float(images.max()))}
    others = [value for value in dict.fromkeys(values) if value is not graph.input]
    for start in range(0, len(others), MAX_OUTPUTS):
        some = others[start : start + MAX_OUTPUTS]
        bounds = [[(y.min(), y.max()) for y in ys] for ys in outputs(graph, images, some, "measuring ranges")]
        lows, highs = np.moveaxis(np.array(bounds), 2, 0)
        found.update(zip(some, zip(lows.min(axis=0).tolist(), highs.max(axis=0).tolist(), strict=True), strict=True))
    return [found[value] for value in values]
