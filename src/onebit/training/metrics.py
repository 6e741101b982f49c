"""Top-1 and top-5 accuracy."""

from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy


def accuracies(num_classes: int) -> MetricCollection:
    """``top1`` and ``top5`` over all images, as fractions; with fewer than five classes ``top5`` counts them all."""
    return MetricCollection(
        {
            "top1": MulticlassAccuracy(num_classes, top_k=1, average="micro"),
            "top5": MulticlassAccuracy(num_classes, top_k=min(5, num_classes), average="micro"),
        }
    )
