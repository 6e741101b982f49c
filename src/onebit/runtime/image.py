"""From an image in any form to the input of a network."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onebit.errors import OnebitError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Endings of the files in a folder that are read as images."""
_MODES = {1: "L", 3: "RGB"}


def image_paths(folder: Path) -> list[Path]:
    """The images in a folder and in those below it, by their suffix, in ascending order.

    Files and folders whose names begin with a dot are passed over. Links to folders are followed, but not back into a
    folder that holds the link.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> for name in ("a.png", ".b.png", "notes.txt", "more/c.JPG", ".trash/d.png"):
        ...     (folder / name).parent.mkdir(exist_ok=True)
        ...     (folder / name).touch()
        >>> [path.relative_to(folder).as_posix() for path in image_paths(folder)]
        ['a.png', 'more/c.JPG']
    """
    return sorted(_images_below(folder, ()))


def _images_below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _images_below(path, (*above, real))
        elif path.suffix.lower() in SUFFIXES:
            yield path


def to_input(
    image: Any, shape: tuple[int, int, int], mean: Sequence[float], std: Sequence[float], resize: int | None = None
) -> NDArray[np.float32]:
    """The network's input for one image: :func:`to_pixels`, normalised.

    Args:
        image, shape, resize: as there.
        mean, std: one per channel; the result is ``(pixel / 255 - mean) / std``.

    Returns:
        float32 (H, W, C), the engine's order.

    Raises:
        OnebitError: as there.

    Example:
        >>> import numpy as np
        >>> to_input(np.full((2, 2), 255, np.uint8), (1, 2, 2), [0.5], [0.5])
        array([[[1.],
                [1.]],
        <BLANKLINE>
               [[1.],
                [1.]]], dtype=float32)
    """
    pixels = to_pixels(image, shape, resize).astype(np.float32)
    scale, shift = (np.asarray(v, np.float32) for v in (std, mean))
    return (pixels / np.float32(255) - shift) / scale


def to_pixels(image: Any, shape: tuple[int, int, int], resize: int | None = None) -> NDArray[np.uint8]:
    """One image in the form that networks see: turned as its EXIF says, grey or RGB, and :func:`fit` to the size.

    An animation gives its first frame; transparency is left out.

    Args:
        image: a path, a Pillow image, or an array uint8 (H, W, 3) or (H, W).
        shape: (C, H, W), C is 1 or 3.
        resize: as in :func:`fit`.

    Returns:
        uint8 (H, W, C).

    Raises:
        OnebitError: there is no such file, it is no image or damaged, or the array has another form.
    """
    channels, height, width = shape
    return np.array(fit(to_pil(image, channels), (height, width), resize)).reshape(height, width, channels)


def to_pil(image: Any, channels: int = 3) -> "Image":
    """One image, decoded: turned as its EXIF says, 8 bits per channel, grey (1 channel) or RGB (3), in its own size.

    Args:
        image: a path, the bytes of an image file, a Pillow image, or an array uint8 (H, W, 3) or (H, W).
        channels: 1 or 3.

    Raises:
        OnebitError: there is no such file, it is no image, damaged, or of more pixels than Pillow's guard against
            decompression bombs lets pass (``PIL.Image.MAX_IMAGE_PIXELS``, twice), or the array has another form.
    """
    if channels not in _MODES:
        raise OnebitError(
            f"the model takes {channels} channels, and an image has 1 or 3",
            hint="call the model itself with an array of its shape",
        )
    from PIL import ImageOps

    opened = _open(image)
    try:
        return _eight_bits(ImageOps.exif_transpose(opened)).convert(_MODES[channels])
    except OnebitError as problem:
        raise OnebitError(f"{_name(image)}: {problem.message}", problem.hint) from problem
    except Exception as problem:  # decoders raise what they like at damaged data
        raise OnebitError(
            f"{_name(image)}: a damaged image: {problem}", hint="save it again as PNG or JPEG"
        ) from problem


def fit(image: "Image", size: tuple[int, int], resize: int | None = None) -> "Image":
    """An image in the size of a network, as it is evaluated: bilinear. One that has this size stays as it is.

    Args:
        image: has any size.
        size: (H, W) of the network.
        resize: its shorter side becomes this many pixels and its centre is cut, see :func:`centre_box`; None stretches
            the whole image.
    """
    if image.size == size[::-1]:
        return image
    return crop(image, (0, 0, *image.size) if resize is None else centre_box(image.size, size, resize), size)


def crop(image: "Image", box: tuple[float, float, float, float], size: tuple[int, int]) -> "Image":
    """The part ``box`` (left, top, right, bottom; in pixels) of an image, stretched to ``size`` (H, W), bilinear."""
    from PIL import Image

    return image.resize(size[::-1], Image.Resampling.BILINEAR, box=box)


def centre_box(size: tuple[int, int], wanted: tuple[int, int], resize: int) -> tuple[float, float, float, float]:
    """The centre of an image that would be cut after resizing: the usual evaluation on ImageNet.

    Cutting first and resizing once keeps fractions of a pixel, and no image, however long and thin, grows.

    Args:
        size: (width, height) of the image.
        wanted: (H, W) of the cut.
        resize: length to which the shorter side would be resized; not below ``wanted``.

    Returns:
        left, top, right, bottom: a box for :func:`crop`.

    Example:
        >>> centre_box((512, 256), (224, 224), resize=256)
        (144.0, 16.0, 368.0, 240.0)
    """
    scale = min(size) / resize
    width, height = wanted[1] * scale, wanted[0] * scale
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height


def _open(image: Any) -> "Image":
    from PIL import Image, UnidentifiedImageError

    if isinstance(image, Image.Image):
        return image
    if isinstance(image, np.ndarray):
        if (
            image.dtype != np.uint8
            or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
            or image.size == 0
        ):
            raise OnebitError(
                f"an array of {image.dtype} {image.shape} is no image",
                hint="pass uint8 (H, W, 3) or (H, W); call the model itself with a batch that is normalised already",
            )
        return Image.fromarray(np.ascontiguousarray(image))
    if not isinstance(image, str | os.PathLike | bytes):
        raise OnebitError(
            f"a {type(image).__name__} is no image", hint="pass a path, a Pillow image or an array uint8 (H, W, 3)"
        )
    try:
        opened = Image.open(io.BytesIO(image) if isinstance(image, bytes) else image)
        opened.load()
    except UnidentifiedImageError as problem:
        raise _not_an_image(image, "of no format that is known here") from problem
    except OSError as problem:
        if problem.strerror is None:
            raise _not_an_image(image, problem) from problem
        raise OnebitError(f"{_name(image)}: {problem.strerror}", hint="check the path") from problem
    except Exception as problem:
        raise _not_an_image(image, problem) from problem
    return opened


def _not_an_image(image: Any, problem: Exception | str) -> OnebitError:
    return OnebitError(
        f"{_name(image)}: not an image, or a damaged one: {problem}", hint="save it again as PNG or JPEG"
    )


def _eight_bits(image: "Image") -> "Image":
    """Pillow clips 16-bit grey values when it converts them; this keeps their upper eight bits."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise OnebitError(
            f"pixels of mode {image.mode} have no fixed range", hint="save the image with 8 bits per channel"
        )
    return image


def _name(image: Any) -> str:
    return str(image) if isinstance(image, str | os.PathLike) else "the image"
