"""One bit per latent: what stands at the cut for fresh and for replayed samples alike."""

import math

import numpy as np
import torch
from torch import Tensor

from onebit.errors import OnebitError
from onebit.quantize.binary import sign


class LatentBinarizer:
    """The sign of a latent, times a scale that each channel has had since experience 0.

        q(x) = s_c sign(x),  s_c = mean |x_c| over all samples and places of experience 0,  sign(0) = +1

    Blocks at the cut have a shortcut, through which they add their input as it is; keeping its sign alone would change
    the function, so a scale goes with it, and what was fresh when it came looks the same when it is replayed. Of
    two-dimensional latents each column is a channel.

    Source: Vorabbi, Maltoni, Santi, arXiv 2401.09916, keeps the bits; the scale is ours.

    Example:
        >>> binarizer = LatentBinarizer()
        >>> binarizer.measure(torch.tensor([[1.0, -4.0], [-3.0, 0.0]]))
        >>> binarizer(torch.tensor([[0.0, -9.0]]))
        tensor([[ 2., -2.]])
        >>> binarizer.unpack(binarizer.pack(torch.tensor([[0.0, -9.0]])), torch.Size([2]))
        tensor([[ 2., -2.]])
    """

    scale: Tensor | None = None

    def measure(self, latents: Tensor) -> None:
        """Sets the scale, float32 (C,), by latents (N, C, ...)."""
        self.scale = latents.abs().mean(dim=[d for d in range(latents.dim()) if d != 1])

    def __call__(self, latents: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape.

        Raises:
            OnebitError: the scale was not measured.
        """
        if self.scale is None:
            raise OnebitError("the binariser has no scale yet", hint="learn an experience first")
        return sign(latents) * self.scale.view(-1, *[1] * (latents.dim() - 2))

    def pack(self, latents: Tensor) -> Tensor:
        """(N, C, ...) -> uint8 (N, ceil(numbers / 8)): channels innermost, first value in the lowest bit, 1 for -1."""
        negative = (latents < 0).movedim(1, -1).flatten(1)
        return torch.from_numpy(np.packbits(negative.numpy(), axis=1, bitorder="little"))

    def unpack(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """The latents that were packed, as :meth:`__call__` gives them; (N, C, ...).

        Args:
            rows: from :meth:`pack`.
            shape: (C, ...) of a latent.
        """
        bits = np.unpackbits(rows.numpy(), axis=1, count=math.prod(shape), bitorder="little")
        negative = torch.from_numpy(bits).view(-1, *shape[1:], shape[0]).movedim(-1, 1)
        return self(1.0 - 2.0 * negative)
