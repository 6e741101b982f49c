"""The accuracy of any function that maps images to logits."""

import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from onebit.errors import OnebitError
from onebit.training.metrics import accuracies


@torch.inference_mode()
def evaluate(
    predict: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]], num_classes: int
) -> dict[str, float]:
    """Measures top-1 and top-5 accuracy.

    Args:
        predict: from normalised float32 images (N, C, H, W) to logits (N, K): a network in evaluation mode or a packed
            model.
        batches: images and int64 labels (N,).
        num_classes: K.

    Returns:
        ``top1`` and ``top5`` (fractions), ``images``, ``seconds`` (wall time, with the loading of the data).

    Raises:
        OnebitError: the logits are not (N, K) or not finite.

    Example:
        >>> batch = torch.eye(3), torch.tensor([0, 1, 1])
        >>> result = evaluate(lambda x: x, [batch], num_classes=3)
        >>> round(result["top1"], 4), result["images"]
        (0.6667, 3)
    """
    began = time.perf_counter()
    metrics = accuracies(num_classes)
    images = 0
    for x, labels in batches:
        logits = predict(x)
        if logits.shape != (len(labels), num_classes):
            raise OnebitError(
                f"the model gives {tuple(logits.shape)} for {len(labels)} images of {num_classes} classes",
                hint="measure it on the data it was trained on",
            )
        if not logits.isfinite().all():
            raise OnebitError("the model gives logits that are not finite numbers", hint="train it again")
        metrics.update(logits.float().cpu(), labels.cpu())
        images += len(labels)
    figures = {name: float(value) for name, value in metrics.compute().items()}
    return {**figures, "images": images, "seconds": time.perf_counter() - began}
