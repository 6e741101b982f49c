"""AutoAugment's policy for CIFAR-10: Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data", CVPR 2019.

Each image draws one of 25 sub-policies; each of its two operations is then done with its own probability (the tables in
the paper's appendix). Magnitude m of 0..9 is m/9 of the operation's range. An operation gives the bytes of Pillow's
of the same name.

As in the released code of CycleBNN (Fontana et al., arXiv 2410.00050), operations that have a direction take either
with equal chance, but rotations go counter-clockwise; shears are bicubic, translations and rotations take the nearest
pixel; what shears and translations uncover gets a given colour, what rotations uncover a grey of 128.

Computed by NumPy on the CPU, where a call on a few images costs a fifth of PyTorch's, and for all images of a family of
operations at once.

Kornia's policies are not used: one call draws one sub-policy for the whole batch, the direction is fixed, and shears
are over three times as strong as the paper's.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
Numbers = npt.NDArray[Any]

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


def auto_augment(images: Tensor, generator: Generator, fill: Sequence[int]) -> Tensor:
    """Gives each image a sub-policy of its own.

    Args:
        images: uint8 (N, C, H, W) with one or three channels.
        generator: a CPU generator, the source of randomness.
        fill: the colour of what shears and translations uncover, one value per channel.

    Returns:
        Images of the same shape.

    Example:
        >>> images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
        >>> auto_augment(images, torch.Generator().manual_seed(0), fill=(125, 122, 113)).shape
        torch.Size([4, 3, 32, 32])
    """
    count = len(images)
    policy = torch.randint(len(CIFAR10_POLICY), (count,), generator=generator).numpy()
    coins = torch.rand(2, count, generator=generator).numpy()
    signs = (torch.randint(2, (2, count), generator=generator) * 2.0 - 1.0).numpy()
    pixels: Bytes = images.cpu().numpy()
    for step in range(2):
        kinds, probabilities, strengths = _TABLES[step]
        done = np.where(coins[step] < probabilities[policy], kinds[policy], -1)
        pixels = operate(pixels, done, strengths[policy], signs[step], fill)
    return torch.from_numpy(pixels).to(images.device)


def operate(images: Bytes, kinds: Numbers, strength: Floats, sign: Floats, fill: Sequence[int]) -> Bytes:
    """Does an operation of its own to each image.

    Args:
        images: (N, C, H, W) with one or three channels.
        kinds: places of the operations in `OPERATIONS`, integers (N,); -1 leaves the image as it is.
        strength: share of the operation's range, (N,) in [0, 1].
        sign: the direction, -1 or 1, (N,).
        fill: the colour of what shears and translations uncover, one value per channel.

    Returns:
        Images of the same shape.

    Example:
        >>> images = np.array([10, 20], np.uint8).reshape(2, 1, 1, 1)
        >>> kinds, ones = np.array([-1, OPERATIONS.index("invert")]), np.ones(2, np.float32)
        >>> operate(images, kinds, ones, ones, fill=[0]).flatten().tolist()
        [10, 235]
    """
    changed = images.copy()
    colour = np.array(fill, np.uint8)
    shear, move = partial(_shear, fill=colour), partial(_move, fill=colour)
    for family, operation in (
        (SHEARS, shear),
        (MOVES, move),
        (LOOK_UPS, _look_up),
        (("color",), _color),
        (("sharpness",), _sharpen),
    ):
        first = OPERATIONS.index(family[0])
        (at,) = np.nonzero((kinds >= first) & (kinds < first + len(family)))
        if len(at):
            changed[at] = operation(images[at], kinds[at] - first, strength[at], sign[at])
    return changed


SHEARS = ("shear_x", "shear_y")
"""Operations that move the pixels of a row, or of a column, by an amount of its own."""


def _shear(images: Bytes, kinds: Numbers, strength: Floats, sign: Floats, fill: Bytes) -> Bytes:
    """Pixel (x, y) reads from (x + m y, y) or (x, y + m x), pixel centres at halves; m goes up to 0.3."""
    slope, moved = 0.3 * strength.astype(np.float64) * sign, np.empty_like(images)
    for kind, axis in enumerate((3, 2)):
        (at,) = np.nonzero(kinds == kind)
        if len(at):
            moved[at] = _slide(images[at].swapaxes(axis, 3), slope[at], fill).swapaxes(axis, 3)
    return moved


def _slide(images: Bytes, slope: npt.NDArray[np.float64], fill: Bytes) -> Bytes:
    """Moves row y by slope · y, between pixels by cubics through four of them (Keys's of a = -1)."""
    count, channels, height, width = images.shape
    rows = np.arange(height)[:, None]
    shift = slope[:, None, None] * (rows + 0.5)
    whole = np.floor(shift)
    t = (shift - whole)[:, None]
    columns = (np.arange(-1, width + 2) + whole.astype(np.int64)).clip(0, width - 1)
    source = (rows * width + columns).reshape(count, 1, -1)
    lines = _gather(images.reshape(count, channels, -1), source).reshape(count, channels, height, width + 3)
    a, b, c, d = (lines[..., step : step + width].astype(np.int16) for step in range(4))
    place = np.arange(width) + 0.5 + shift
    outside = (place < 0) | (place >= width)
    cubic = b + t * (c - a + t * (2 * (a - b) + c - d + t * (b - a - c + d)))
    return np.where(outside[:, None], fill[:, None, None], cubic.clip(0, 255).astype(np.uint8))


MOVES = ("translate_x", "translate_y", "rotate")
"""Operations that move pixels by the same map."""

_GREY = 128


def _move(images: Bytes, kinds: Numbers, strength: Floats, sign: Floats, fill: Bytes) -> Bytes:
    """Pixel (x, y) reads from (a x + b y + c, d x + e y + f), pixel centres at halves.

    Translations go up to 150/331 of the side (the paper's 150 pixels are of its 331), rotations about the centre up to
    30 degrees.
    """
    count, channels, height, width = images.shape
    translate_x, translate_y, rotate = (kinds == kind for kind in range(len(MOVES)))
    across, along = (150 / 331 * side * strength * sign for side in (width, height))
    angle = torch.from_numpy(30 * strength).deg2rad()
    cos, sin = angle.cos().numpy(), angle.sin().numpy()
    x, y = width / 2, height / 2
    a = e = np.where(rotate, cos, 1)
    b = np.where(rotate, -sin, 0)
    c = np.where(rotate, x - cos * x + sin * y, across * translate_x)
    d = np.where(rotate, sin, 0)
    f = np.where(rotate, y - sin * x - cos * y, along * translate_y)
    a, b, c, d, e, f = (values.astype(np.float32)[:, None, None] for values in (a, b, c, d, e, f))
    at_x = np.arange(width, dtype=np.float32) + np.float32(0.5)
    at_y = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    columns = np.floor(a * at_x + b * at_y + c)
    rows = np.floor(d * at_x + e * at_y + f)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    behind = height * width  # the place of a pixel behind the last one
    source = np.where(inside, rows * width + columns, behind).astype(np.int64).reshape(count, 1, behind)
    pixels = np.empty((count, channels, behind + 1), np.uint8)
    pixels[:, :, :behind] = images.reshape(count, channels, behind)
    pixels[:, :, behind] = np.where(rotate[:, None], _GREY, fill)
    return _gather(pixels, source).reshape(images.shape)


def _look_up(images: Bytes, kinds: Numbers, strength: Floats, sign: Floats) -> Bytes:
    """Replaces each byte by its entry in its channel's table."""
    tables = np.empty((*images.shape[:2], 256), np.uint8)
    for kind in np.unique(kinds):
        (at,) = np.nonzero(kinds == kind)
        tables[at] = _LOOK_UPS[kind](images[at], strength[at][:, None, None], sign[at][:, None, None])
    return _gather(tables, images.reshape(*images.shape[:2], -1).astype(np.int64)).reshape(images.shape)


def _gather(rows: Bytes, places: npt.NDArray[np.int64]) -> Bytes:
    """As numpy.take_along_axis along the last axis, an eighth of whose time PyTorch needs."""
    return torch.from_numpy(rows).gather(2, torch.from_numpy(places).expand(*rows.shape[:2], -1)).numpy()


# Tables of bytes, (N, C, 256) or (N, 1, 256), by strength and sign, (N, 1, 1).

_BYTES = np.arange(256, dtype=np.uint8)


def _brightness(images: Bytes, strength: Floats, sign: Floats) -> Bytes:
    """Blends with black; factor 1 ± up to 0.9."""
    return _blend(np.zeros(1, np.float32), _BYTES, strength, sign)


def _contrast(images: Bytes, strength: Floats, sign: Floats) -> Bytes:
    """Blends with its mean grey; factor 1 ± up to 0.9."""
    mean = np.floor(_grey(images).mean((2, 3), dtype=np.float64) + 0.5)
    return _blend(mean[:, :, None], _BYTES, strength, sign)


def _auto_contrast(images: Bytes, strength: Floats, sign: Floats) -> Bytes:
    """Stretches each channel to [0, 255]."""
    low, high = (extreme((2, 3))[:, :, None].astype(np.float64) for extreme in (images.min, images.max))
    scale = 255 / np.where(high > low, high - low, 255)
    table = np.floor(np.clip(_BYTES * scale - low * scale, 0, 255))
    return np.where(high > low, table.astype(np.uint8), _BYTES)


def _equalize(images: Bytes, strength: Floats, sign: Floats) -> Bytes:
    """Makes the histogram of each channel even."""
    count, channels, height, width = images.shape
    values = images.reshape(count * channels, -1) + np.arange(0, count * channels * 256, 256)[:, None]
    histogram = np.bincount(values.ravel(), minlength=count * channels * 256).reshape(count, channels, 256)
    last = np.take_along_axis(histogram, images.max((2, 3))[:, :, None].astype(np.int64), 2)
    step = (height * width - last) // 255
    table = np.floor((step // 2 + histogram.cumsum(2) - histogram) / np.maximum(step, 1))  # faster than //
    return np.where(step > 0, np.minimum(table, 255).astype(np.uint8), _BYTES)


def _invert(images: Bytes, strength: Floats, sign: Floats) -> Bytes:
    """255 - pixel."""
    return 255 - _BYTES


def _posterize(images: Bytes, strength: Floats, sign: Floats) -> Bytes:
    """Keeps the highest 8 down to 4 bits."""
    dropped = np.rint(4 * strength).astype(np.uint8)
    return _BYTES >> dropped << dropped


def _solarize(images: Bytes, strength: Floats, sign: Floats) -> Bytes:
    """Inverts pixels from a threshold on, 256 (none) down to 0 (all)."""
    return np.where(256 * (1 - strength) > _BYTES, _BYTES, 255 - _BYTES)


_LOOK_UPS: tuple[Callable[[Bytes, Floats, Floats], Bytes], ...] = (
    _brightness,
    _contrast,
    _auto_contrast,
    _equalize,
    _invert,
    _posterize,
    _solarize,
)
LOOK_UPS = tuple(table.__name__.removeprefix("_") for table in _LOOK_UPS)
"""Operations that replace each byte by another one."""

OPERATIONS = (*SHEARS, *MOVES, *LOOK_UPS, "color", "sharpness")
"""All of them, a family after the other."""


def _color(images: Bytes, kinds: Numbers, strength: Floats, sign: Floats) -> Bytes:
    """Blends with its own grey; factor 1 ± up to 0.9."""
    return _blend(_grey(images), images, strength[:, None, None, None], sign[:, None, None, None])


def _sharpen(images: Bytes, kinds: Numbers, strength: Floats, sign: Floats) -> Bytes:
    """Blends with its smoothed self, whose border is the image's; factor 1 ± up to 0.9."""
    smooth = images.astype(np.float32)
    rows = smooth[:, :, :-2] + smooth[:, :, 1:-1] + smooth[:, :, 2:]
    square = rows[:, :, :, :-2] + rows[:, :, :, 1:-1] + rows[:, :, :, 2:]
    smooth[:, :, 1:-1, 1:-1] = np.rint((square + 4 * smooth[:, :, 1:-1, 1:-1]) / 13)
    return _blend(smooth, images, strength[:, None, None, None], sign[:, None, None, None])


def _blend(other: Numbers, values: Bytes, strength: Floats, sign: Floats) -> Bytes:
    """From ``other`` at factor 0 to ``values`` at factor 1, and beyond."""
    other = other.astype(np.float32)
    factor = (1 + 0.9 * strength * sign).astype(np.float32)
    blended = other + factor * (values.astype(np.float32) - other)
    return blended.clip(0, 255, out=blended).astype(np.uint8)


def _grey(images: Bytes) -> npt.NDArray[np.int32]:
    """Luma of ITU-R 601 in Pillow's fixed-point arithmetic, (N, 1, H, W)."""
    if images.shape[1] == 1:
        return images.astype(np.int32)
    red, green, blue = (images[:, channel : channel + 1].astype(np.int32) for channel in range(3))
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16


def _tables() -> tuple[tuple[Numbers, Floats, Floats], ...]:
    """For the first and the second step: operation, probability and strength by sub-policy."""
    steps = zip(*CIFAR10_POLICY, strict=True)
    return tuple(
        (
            np.array([OPERATIONS.index(name) for name, _, _ in step]),
            np.array([probability for _, probability, _ in step], np.float32),
            np.array([magnitude / 9 for _, _, magnitude in step]),
        )
        for step in steps
    )


_TABLES = _tables()
