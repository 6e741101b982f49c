"""What the transcriptions of the papers' equations share."""

import torch
from torch import Tensor


def straight_through(value: Tensor, like: Tensor) -> Tensor:
    """``value`` forward, the gradient of ``like`` backward."""
    return value.detach() + like - like.detach()


def sign(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


def variance(x: Tensor) -> Tensor:
    """Of each slice along dimension 0; 0 for a single element."""
    return x.var(tuple(range(1, x.dim())), keepdim=True, correction=1 if x[0].numel() > 1 else 0)


def mean(x: Tensor) -> Tensor:
    return x.mean(tuple(range(1, x.dim())), keepdim=True)
