"""From the bytes of images in memory to the input of a network, a batch at a time."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Generator, Tensor

from onebit.data import augment as augmentation
from onebit.data.autoaugment import auto_augment

_Steps = tuple[Callable[[Tensor, Generator], Tensor], ...]


def _cyclebnn(fill: Sequence[int], hole: Tensor) -> tuple[_Steps, _Steps]:
    crop, policy = partial(augmentation.crop, fill=fill), partial(auto_augment, fill=fill)
    return (crop, augmentation.flip, policy), (partial(augmentation.cutout, fill=hole),)


# Steps for the bytes of the images, and for the numbers, by the mean colour in bytes and in numbers.
AUGMENTATIONS: dict[str, Callable[[Sequence[int], Tensor], tuple[_Steps, _Steps]]] = {
    "none": lambda fill, hole: ((), ()),
    "flip_crop": lambda fill, hole: ((augmentation.crop, augmentation.flip), ()),
    "cyclebnn": _cyclebnn,
}


class Transform:
    """Bytes to network input: augmentation of bytes, normalisation, augmentation of numbers; channels_last.

    ``colour`` is the data set's mean of pixel / 255 per channel, and fills what is uncovered.
    """

    def __init__(
        self, augment: str, mean: Tensor, std: Tensor, sides: tuple[int, int], colour: Sequence[float]
    ) -> None:
        fill = [int(255 * value) for value in colour]
        hole = (torch.tensor(colour, device=mean.device) - mean) / std
        self.of_bytes, self.of_numbers = AUGMENTATIONS[augment](fill, hole)
        self.scale, self.offset = (
            values.expand(*sides, -1).contiguous() for values in (1 / (255 * std), -mean / std)
        )  # one per pixel: PyTorch is half as fast with one per channel

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        for step in self.of_bytes:
            images = step(images, generator)
        numbers = torch.stack(images.unbind(1), 3).float()
        numbers = torch.addcmul(self.offset, numbers, self.scale, out=numbers).permute(0, 3, 1, 2)
        for step in self.of_numbers:
            numbers = step(numbers, generator)
        return numbers
