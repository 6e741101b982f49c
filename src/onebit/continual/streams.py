"""Streams of experiences: what a learner is shown, in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from onebit.errors import OnebitError


@dataclass(frozen=True)
class Experience:
    """What is taught at once.

    Attributes:
        classes: the classes in it, as in the labels.
        indices: int64 (n,), its samples.
    """

    classes: tuple[int, ...]
    indices: Tensor


def new_classes(labels: Tensor, sizes: Sequence[int], seed: int | None = None) -> list[Experience]:
    """The NC protocol: each experience brings classes that were not there before, all their samples at once.

    Args:
        labels: int64 (N,).
        sizes: classes of each experience, for CIFAR-10 ``[2] * 5``; the first one trains the backbone.
        seed: shuffles the classes; None keeps them in ascending order.

    Raises:
        OnebitError: the sizes do not add up to the number of classes.

    Source: Lomonaco and Maltoni, "CORe50", 2017, section 3.

    Example:
        >>> [e.classes for e in new_classes(torch.tensor([0, 1, 2, 2, 1, 3]), [2, 1, 1])]
        [(0, 1), (2,), (3,)]
    """
    present = labels.unique()
    if sum(sizes) != len(present) or min(sizes, default=0) < 1:
        raise OnebitError(
            f"experiences of {list(sizes)} classes do not make up {len(present)} classes",
            hint="sizes above 0 that add up to the number of classes",
        )
    if seed is not None:
        present = present[torch.randperm(len(present), generator=torch.Generator().manual_seed(seed))]
    return [
        Experience(tuple(part.tolist()), torch.isin(labels, part).nonzero()[:, 0])
        for part in present.split(list(sizes))
    ]
