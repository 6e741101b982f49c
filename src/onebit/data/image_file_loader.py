"""Batches of images that are read and decoded as they are wanted."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from onebit.data.augment import lighting
from onebit.data.image_files import Faults, ImageFiles
from onebit.data.loader import Batch, Loader
from onebit.data.sampler import EpochSampler
from onebit.errors import OnebitError
from onebit.runtime.image import crop, fit

_TRIES = 10
_RATIO = (math.log(3 / 4), math.log(4 / 3))


class ImageFileAugmentation(NamedTuple):
    """What is done to a training image: a random part of it, stretched; mirrored with probability 1/2; lighting.

    Attributes:
        scale: lower and upper bound of the part's share of the image's area. Where the upper one is above 1, parts that
            do not fit are drawn again, so large parts come more often.
        lighting: standard deviation of the changes of colour; 0 for none.
    """

    scale: tuple[float, float]
    lighting: float = 0.0


AUGMENTATIONS: dict[str, ImageFileAugmentation | None] = {
    "none": None,
    "flip_crop": ImageFileAugmentation((0.08, 1.0)),
    "reactnet": ImageFileAugmentation((0.08, 1.0), lighting=0.1),
    "cyclebnn": ImageFileAugmentation((0.08, 1.25), lighting=0.1),
}


class ImageFileLoader(Loader):
    """Iterates over the batches of an epoch as :class:`onebit.data.loader.Loader` does: stateful, the same again.

    Pillow decodes and resizes outside of Python's lock, so the workers are threads: nothing is copied between
    processes, and a batch is the same whichever worker makes it.

    Args:
        files: where to read from.
        numbers: the images that are used, int64 (N,); the sampler counts these.
        labels: int64 (N,), theirs.
        size: (H, W) of the network's input.
        resize: the shorter side before the centre is cut; without augmentation only.
        augmentation: None takes the centre.
        training: refuse a batch of which fewer than two images are left, which batch normalisation cannot use.
        mean, std: one per channel.
        device: where batches are wanted.
        sampler: the order of the epochs.
        num_workers: threads that make batches ahead; 0 makes each when it is asked for.
        faults: what is done about images that cannot be read. A batch is the smaller by those left out.
    """

    def __init__(
        self,
        files: ImageFiles,
        numbers: Tensor,
        labels: Tensor,
        *,
        size: tuple[int, int],
        resize: int,
        augmentation: ImageFileAugmentation | None,
        training: bool,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        sampler: EpochSampler,
        num_workers: int,
        faults: Faults,
    ) -> None:
        self.files, self.numbers, self.labels = files, numbers, labels
        self.size, self.resize, self.augmentation = size, resize, augmentation
        self.mean, self.std = (torch.tensor(values, device=device).reshape(-1, 1, 1) for values in (mean, std))
        self.device, self.training = device, training
        self.sampler, self.num_workers, self.faults = sampler, num_workers, faults

    def _make(self, indices: Tensor, generator: Generator) -> Batch:
        draws = torch.rand(len(indices), 2 * _TRIES + 3, generator=generator, dtype=torch.float64)
        read = [self._read(int(self.numbers[index]), draw) for index, draw in zip(indices, draws, strict=True)]
        whole = [pixels for pixels in read if pixels is not None]
        if len(whole) < (min(2, len(read)) if self.training else 1):
            raise OnebitError(
                f"{len(read) - len(whole)} of the {len(read)} images of a batch cannot be read: "
                f"{', '.join(list(self.faults.skipped)[-3:])}, ...",
                hint="repair the data set; onebit data check names what is damaged",
            )
        kept = torch.tensor([pixels is not None for pixels in read])
        images = torch.from_numpy(np.stack(whole)).to(self.device)
        numbers = images.float().div_(255).sub_(self.mean).div_(self.std)
        if self.augmentation is not None and self.augmentation.lighting:
            numbers += lighting(len(numbers), generator, self.augmentation.lighting).to(self.device) / self.std
        return numbers, self.labels[indices][kept].to(self.device)

    def _read(self, number: int, draws: Tensor) -> np.ndarray | None:
        """uint8 (3, H, W); None if it is left out."""
        image = self.files.decode(number, self.faults)
        if image is None:
            return None
        if self.augmentation is None:
            return np.asarray(fit(image, self.size, self.resize)).transpose(2, 0, 1)
        pixels = np.asarray(crop(image, random_box(image.size, draws, self.augmentation.scale), self.size))
        return (pixels[:, ::-1] if draws[-1] < 0.5 else pixels).transpose(2, 0, 1)


def random_box(size: tuple[int, int], draws: Tensor, scale: tuple[float, float]) -> tuple[int, int, int, int]:
    """A random part of an image: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6.

    Its area is uniform in ``scale`` times the image's, the logarithm of its width to height uniform from 3:4 to 4:3.
    A part that does not fit is drawn again; after ten it is the largest centre of an allowed proportion.

    Args:
        size: (width, height) of the image.
        draws: 22 numbers or more, uniform in [0, 1).
        scale: lower and upper bound of its share of the area.

    Returns:
        left, top, right, bottom in whole pixels.

    Example:
        >>> random_box((400, 300), torch.full((22,), 0.5), (0.08, 1.0))
        (73, 23, 328, 278)
    """
    width, height = size
    values = draws.tolist()
    for attempt in range(_TRIES):
        area = width * height * (scale[0] + (scale[1] - scale[0]) * values[2 * attempt])
        ratio = math.exp(_RATIO[0] + (_RATIO[1] - _RATIO[0]) * values[2 * attempt + 1])
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left = int(values[2 * _TRIES] * (width - w + 1))
            top = int(values[2 * _TRIES + 1] * (height - h + 1))
            return left, top, left + w, top + h
    lowest, highest = (math.exp(bound) for bound in _RATIO)
    w, h = min(width, round(height * highest)), min(height, round(width / lowest))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h
