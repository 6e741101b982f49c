"""The features of images, which a learner takes from its backbone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.runtime.model import Model

Images = Sequence[Any] | NDArray[np.float32]
_BULK = 16  # images whose values are in memory together


def features_of(
    model: Model,
    lots: Sequence[Images],
    progress: Callable[[int, int], None] | None = None,
    *,
    output: str = "features",
) -> list[NDArray[np.float32]]:
    """Runs the backbone on several lots of images, a few at a time.

    Args:
        model: has the output.
        lots: each with at least one image: paths, Pillow images or arrays uint8 (H, W, 3) or (H, W); or one array
            float32 (N, C, H, W), normalised as in training.
        progress: is called with (images done, images).
        output: ``features``, or ``latents`` where the learner trains a tail.

    Returns:
        One float32 array per lot, shape (N, D); spatial outputs are flattened in HWC order.

    Raises:
        OnebitError: an image cannot be read, or has another shape.
    """
    done, total = 0, sum(map(len, lots))
    results = []
    for images in lots:
        parts = []
        for begin in range(0, len(images), _BULK):
            values = model.run(_input(model, images[begin : begin + _BULK]), output)
            parts.append(values.reshape(len(values), -1))
            done += len(parts[-1])
            if progress is not None:
                progress(done, total)
        results.append(np.concatenate(parts))
    return results


def _input(model: Model, images: Images) -> NDArray[np.float32]:
    if isinstance(images, np.ndarray) and images.dtype == np.float32:
        return model.channels_last(images)
    return model.input_of(images)
