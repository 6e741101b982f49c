"""Random changes of whole batches of images. Random numbers come from the given CPU generator, whatever the device.

Crop and flip: He et al., "Deep Residual Learning for Image Recognition", 2015, section 4.2. Cutout: DeVries and
Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor


def crop(images: Tensor, generator: Generator, padding: int | None = None, fill: Sequence[int] = (0,)) -> Tensor:
    """Pads each side with one colour and cuts a window of the old size at a random place, one per image.

    Args:
        images: uint8 (N, C, H, W).
        generator: source of randomness.
        padding: pixels per side; by default an eighth of the height: 4 of CIFAR's 32.
        fill: the colour, one value per channel or one for all; black by default.
    """
    count, channels, height, width = images.shape
    padding = height // 8 if padding is None else padding
    colour = images.new_tensor(fill).view(1, -1, 1, 1)
    padded = colour.repeat(count, channels // len(fill), height + 2 * padding, width + 2 * padding)
    padded[:, :, padding : padding + height, padding : padding + width] = images
    top, left = _integers(2 * padding + 1, (2, count), generator, images)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (N, C, top, left, H, W)
    if images.device.type == "cpu":  # NumPy copies whole rows where PyTorch copies bytes: six times as fast
        return torch.from_numpy(windows.numpy()[np.arange(count), :, top.numpy(), left.numpy()])
    return windows[torch.arange(count, device=images.device), :, top, left]


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirrors each image left to right with probability 1/2."""
    count = len(images)
    chosen = _integers(2, (count, 1, 1, 1), generator, images).flatten()
    both = torch.cat([images, images.flip(3)])  # whole images are then copied: faster than a choice for each byte
    return both.index_select(0, torch.arange(count, device=images.device) + count * chosen)


def cutout(images: Tensor, generator: Generator, fill: Tensor, size: int | None = None) -> Tensor:
    """Sets a square at a random place to one colour, one per image; its centre is any pixel, so it may reach over the
    border.

    Args:
        images: float32 (N, C, H, W); best channels_last, as the result is.
        generator: source of randomness.
        fill: the colour, float32 (C,), on the images' device.
        size: side of the square in pixels; by default half of the height: 16 of CIFAR's 32.
    """
    count, channels, height, width = images.shape
    size = height // 2 if size is None else size
    outside = []
    for side in (height, width):
        start = _integers(side, (count, 1), generator, images) - size // 2
        at = torch.arange(side, device=images.device)
        outside.append(-((at < start) | (at >= start + size)).int())  # all bits or none
    rows, columns = outside
    kept = rows[:, :, None] | columns.repeat_interleave(channels, 1)[:, None]
    pixels = images.permute(0, 2, 3, 1).flatten(2)  # a view, if the images are channels_last
    hole = fill.repeat(width).view(torch.int32)
    cut = (pixels.view(torch.int32) ^ hole).bitwise_and_(kept).bitwise_xor_(hole)  # a fraction of masked_fill's time
    return cut.view(torch.float32).unflatten(2, (width, channels)).permute(0, 3, 1, 2)


def _integers(below: int, shape: tuple[int, ...], generator: Generator, like: Tensor) -> Tensor:
    return torch.randint(below, shape, generator=generator).to(like.device, non_blocking=True)


# Eigenvectors (columns) and eigenvalues of the covariance of the pixels of ImageNet's training part, for pixels from 0
# to 1, as they have been handed on since Facebook's implementation of ResNet for Torch (fb.resnet.torch, imagenet.lua).
_DIRECTIONS = torch.tensor(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], dtype=torch.float64
)
_VARIANCES = torch.tensor([0.2175, 0.0188, 0.0045], dtype=torch.float64)


def lighting(count: int, generator: Generator, strength: float) -> Tensor:
    """What is added to the colours (pixel / 255) of images: P (α ∘ λ), the same for all pixels of an image.

    Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012, section 4.1. α is
    normal, of standard deviation ``strength``.

    Returns:
        float32 (count, 3, 1, 1).

    Example:
        >>> lighting(2, Generator().manual_seed(0), strength=0.1).shape
        torch.Size([2, 3, 1, 1])
    """
    alpha = strength * torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return ((alpha * _VARIANCES) @ _DIRECTIONS.T).float()[:, :, None, None]
