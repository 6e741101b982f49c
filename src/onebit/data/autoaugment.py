"""AutoAugment's policy for CIFAR-10: Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data", CVPR 2019.

Each image draws one of 25 sub-policies; each of its two operations is then done with its own probability (the tables in
the paper's appendix). Magnitude m of 0..9 is m/9 of the operation's range, and operations that have a direction take
either with equal chance, as in the implementations for PyTorch. An operation gives the same bytes as Pillow's of that
name; geometric ones take the nearest pixel and fill with black.

Kornia's policies are not used: one call draws one sub-policy for the whole batch, the direction is fixed, and shears
are over three times as strong as the paper's.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

# (operation, probability, magnitude), twice a sub-policy.
CIFAR10_POLICY: tuple[tuple[tuple[str, float, int], tuple[str, float, int]], ...] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("auto_contrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("auto_contrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("auto_contrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("auto_contrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("auto_contrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("auto_contrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("auto_contrast", 0.9, 1)),
)


def auto_augment(images: Tensor, generator: Generator) -> Tensor:
    """Gives each image a sub-policy of its own.

    Args:
        images: uint8 (N, C, H, W) with one or three channels.
        generator: a CPU generator, the source of randomness.

    Returns:
        Images of the same shape.

    Example:
        >>> images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
        >>> auto_augment(images, torch.Generator().manual_seed(0)).shape
        torch.Size([4, 3, 32, 32])
    """
    count = len(images)
    policy = torch.randint(len(CIFAR10_POLICY), (count,), generator=generator)
    coins = torch.rand(2, count, generator=generator)
    signs = torch.randint(2, (2, count), generator=generator) * 2.0 - 1.0
    images = images.clone()
    for step in range(2):
        kinds, probabilities, strengths = _TABLES[step]
        done = torch.where(coins[step] < probabilities[policy], kinds[policy], -1)
        for kind in done.unique().tolist():
            if kind >= 0:
                at = (done == kind).nonzero().flatten()
                strength, sign = strengths[policy[at]].to(images.device), signs[step, at].to(images.device)
                at = at.to(images.device)
                images[at] = _OPERATIONS[kind][1](images[at], strength, sign)
    return images


# The operations. `strength` is the share of the range, (N,) in [0, 1]; `sign` is -1 or 1, (N,).


def shear_x(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """x reads from x + s · y, |s| up to 0.3."""
    return _affine(images, b=0.3 * strength * sign)


def shear_y(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """y reads from y + s · x, |s| up to 0.3."""
    return _affine(images, d=0.3 * strength * sign)


def translate_x(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Up to 150/331 of the width (the paper's 150 pixels are of its 331)."""
    return _affine(images, c=150 / 331 * images.shape[3] * strength * sign)


def translate_y(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Up to 150/331 of the height."""
    return _affine(images, f=150 / 331 * images.shape[2] * strength * sign)


def rotate(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """About the centre, up to 30 degrees."""
    angle = torch.deg2rad(30 * strength * sign)
    cos, sin = angle.cos(), angle.sin()
    x, y = images.shape[3] / 2, images.shape[2] / 2
    return _affine(images, cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)


def brightness(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Blends with black; factor 1 ± up to 0.9."""
    return _blend(torch.zeros_like(images), images, strength, sign)


def color(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Blends with its own grey; factor 1 ± up to 0.9."""
    return _blend(_grey(images).to(torch.uint8), images, strength, sign)


def contrast(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Blends with its mean grey; factor 1 ± up to 0.9."""
    mean = (_grey(images).double().mean((1, 2, 3), keepdim=True) + 0.5).floor()
    return _blend(mean, images, strength, sign)


def sharpness(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Blends with its smoothed self, whose border is the image's; factor 1 ± up to 0.9."""
    channels = images.shape[1]
    kernel = images.new_ones((channels, 1, 3, 3), dtype=torch.float32)
    kernel[:, :, 1, 1] = 5
    smooth = images.float()
    smooth[:, :, 1:-1, 1:-1] = (functional.conv2d(smooth, kernel, groups=channels) / 13).round()
    return _blend(smooth, images, strength, sign)


def auto_contrast(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Stretches each channel to [0, 255]."""
    low, high = (extreme.double() for extreme in torch.aminmax(images.flatten(2), dim=2, keepdim=True))
    scale = torch.full_like(high, 255) / (high - low)  # a number / tensor would multiply by the rounded reciprocal
    table = (torch.arange(256, device=images.device) * scale - low * scale).clamp(0, 255).floor()
    return _look_up(images, table, high > low)


def equalize(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Makes the histogram of each channel even."""
    count, channels, height, width = images.shape
    offsets = torch.arange(count * channels, device=images.device)[:, None] * 256
    values = images.reshape(count * channels, -1) + offsets
    histogram = values.flatten().bincount(minlength=count * channels * 256).reshape(count, channels, 256)
    last = histogram.gather(2, images.flatten(2).amax(2, keepdim=True).long())
    step = (height * width - last).div(255, rounding_mode="floor")
    below = histogram.cumsum(2) - histogram
    table = (step.div(2, rounding_mode="floor") + below).div(step.clamp(min=1), rounding_mode="floor").clamp(max=255)
    return _look_up(images, table, step > 0)


def invert(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """255 - pixel."""
    return 255 - images


def posterize(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Keeps the highest 8 down to 4 bits."""
    dropped = (4 * strength).round().to(torch.uint8).reshape(-1, 1, 1, 1)
    return images >> dropped << dropped


def solarize(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Inverts pixels from a threshold on, 255 down to 0."""
    return torch.where(images < (255 * (1 - strength)).reshape(-1, 1, 1, 1), images, 255 - images)


def _affine(
    images: Tensor,
    a: Tensor | float = 1.0,
    b: Tensor | float = 0.0,
    c: Tensor | float = 0.0,
    d: Tensor | float = 0.0,
    e: Tensor | float = 1.0,
    f: Tensor | float = 0.0,
) -> Tensor:
    """Pixel (x, y) reads from (a x + b y + c, d x + e y + f), pixel centres at halves; black outside."""
    count, channels, height, width = images.shape
    a, b, c, d, e, f = (
        number.reshape(-1, 1, 1) if isinstance(number, Tensor) else number for number in (a, b, c, d, e, f)
    )
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device)[:, None] + 0.5
    columns = (a * x + b * y + c).floor().long()
    rows = (d * x + e * y + f).floor().long()
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    source = torch.where(inside, rows * width + columns, 0).reshape(count, 1, -1).expand(-1, channels, -1)
    return images.flatten(2).gather(2, source).reshape(images.shape) * inside[:, None]


def _blend(other: Tensor, images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    factor = (1 + 0.9 * strength * sign).reshape(-1, 1, 1, 1)
    other = other.float()
    return (other + factor * (images.float() - other)).clamp(0, 255).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    """Luma of ITU-R 601 in Pillow's fixed-point arithmetic, int32 (N, 1, H, W)."""
    if images.shape[1] == 1:
        return images.int()
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32, device=images.device).reshape(1, 3, 1, 1)
    return ((images.int() * weights).sum(1, keepdim=True, dtype=torch.int32) + 0x8000) >> 16


def _look_up(images: Tensor, table: Tensor, wanted: Tensor) -> Tensor:
    """Replaces each byte by its entry in its channel's table (N, C, 256), where that channel wants it (N, C, 1)."""
    found = table.to(torch.uint8).gather(2, images.flatten(2).long())
    return torch.where(wanted, found, images.flatten(2)).reshape(images.shape)


_Operation = Callable[[Tensor, Tensor, Tensor], Tensor]
_OPERATIONS: tuple[tuple[str, _Operation], ...] = tuple(
    (operation.__name__, operation)
    for operation in (
        shear_x,
        shear_y,
        translate_x,
        translate_y,
        rotate,
        brightness,
        color,
        contrast,
        sharpness,
        auto_contrast,
        equalize,
        invert,
        posterize,
        solarize,
    )
)


def _tables() -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
    """For the first and the second step: operation, probability and strength by sub-policy."""
    numbers = {name: number for number, (name, _) in enumerate(_OPERATIONS)}
    steps = zip(*CIFAR10_POLICY, strict=True)
    return tuple(
        (
            torch.tensor([numbers[name] for name, _, _ in step]),
            torch.tensor([probability for _, probability, _ in step]),
            torch.tensor([magnitude / 9 for _, _, magnitude in step]),
        )
        for step in steps
    )


_TABLES = _tables()
