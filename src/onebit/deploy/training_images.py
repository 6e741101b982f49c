"""The training images that an export needs: ranges are measured on them, and a device replays their latents.

``info`` is what :func:`onebit.training.load_checkpoint` returns beside the network.
"""

from typing import Any

import torch
from torch import Tensor

from onebit import data
from onebit.data.dataset import DataSet
from onebit.deploy.tail import Teachable
from onebit.errors import OnebitError

CALIBRATION_IMAGES = 512


def calibration_images(info: dict[str, Any], *, noise: bool = False) -> tuple[Tensor, str]:
    """Images for ``deploy.export(..., example)``, spread over the training part, and where they are from.

    Args:
        info: the checkpoint's; its data set is read.
        noise: without training images, random noise. Agreement on noise says nothing, so int8 and a trained tail need
            real images.

    Returns:
        float32 (N, C, H, W), normalised, N at most 512; and a text for people.

    Raises:
        OnebitError: the training images are not here, and ``noise`` is False.

    Example:
        >>> info = {"data": {"name": "digits", "options": {}}, "classes": list("0123456789"), "shape": [1, 8, 8]}
        >>> images, origin = calibration_images(info | {"mean": [0.5], "std": [0.5]})
        >>> images.shape, origin
        (torch.Size([512, 1, 8, 8]), '512 training images of digits')
    """
    try:
        images, _ = _training_part(info, CALIBRATION_IMAGES)
    except OnebitError as problem:
        if not noise:
            raise
        drawn = torch.randn(CALIBRATION_IMAGES, *info["shape"], generator=torch.Generator().manual_seed(0))
        return drawn, f"random noise, for want of training images: {problem.message}"
    images = images[torch.linspace(0, len(images) - 1, min(CALIBRATION_IMAGES, len(images))).long()]
    return _normalized(images, info), f"{len(images)} training images of {info['data']['name']}"


def replay_images(info: dict[str, Any], count: int) -> Teachable:
    """Training images drawn at random, balanced across classes, for ``deploy.export(..., teachable=)``.

    Args:
        info: the checkpoint's; its data set is read, and its ``seed`` is that of the draw.
        count: images; 0 for a tail without latents to replay.

    Raises:
        OnebitError: ``count`` is negative, or the training images are not here.

    Example:
        >>> info = {"data": {"name": "digits", "options": {}}, "classes": list("0123456789"), "shape": [1, 8, 8]}
        >>> replayed = replay_images(info | {"mean": [0.5], "std": [0.5], "seed": 0}, 30)
        >>> sorted(replayed.labels) == sorted(list(range(10)) * 3)
        True
    """
    if count < 0:
        raise OnebitError(f"{count} images cannot be replayed", hint="give a number of images, 0 for none")
    if count == 0:
        return Teachable()
    images, labels = _training_part(info, 4 * count)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(info["seed"]))
    one_hot = torch.nn.functional.one_hot(labels[order])
    nth = one_hot.cumsum(dim=0)[torch.arange(len(order)), labels[order]]  # within its class
    chosen = order[nth.argsort(stable=True)][:count]
    return Teachable(_normalized(images[chosen], info), labels[chosen].tolist())


def evaluation_resize(info: dict[str, Any]) -> int | None:
    """The ``resize`` of :func:`onebit.deploy.export`: how the data set of the checkpoint cuts its test images.

    Args:
        info: the checkpoint's. The images themselves need not be here.

    Returns:
        None if they are stretched, as in all data sets that are held in memory.

    Example:
        >>> evaluation_resize({"data": {"name": "imagenet", "options": {"size": 112}}})
        128
    """
    try:
        return _data_set(info).resize
    except OnebitError:  # a folder that is not here, whose images are stretched; or a data set that nobody knows here,
        # which calibration_images then refuses, or names beside the noise that it gives
        return None


def _data_set(info: dict[str, Any]) -> DataSet:
    name, options = info["data"].get("name"), info["data"].get("options")
    if not isinstance(name, str) or not isinstance(options, dict):
        raise OnebitError("the checkpoint names no data set")
    return data.create(name, **options)


def _normalized(images: Tensor, info: dict[str, Any]) -> Tensor:
    mean, std = (torch.tensor(info[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return (images / 255 - mean) / std


def _training_part(info: dict[str, Any], count: int) -> tuple[Tensor, Tensor]:
    """Training images, uint8 (N, C, H, W), of the classes that the network knows, and these as numbers of its logits.

    From a data set that does not fit into memory, about ``count`` images, spread over it.
    """
    data_set = _data_set(info)
    images, labels = data_set.sample(count)
    classes = {label: number for number, label in enumerate(info["classes"])}
    labels = torch.tensor([classes.get(label, -1) for label in data_set.classes])[labels]
    images, labels = images[labels >= 0], labels[labels >= 0]
    if not len(images) or list(images.shape[1:]) != info["shape"]:
        raise OnebitError(f"the data set {data_set.name} here is not the one it was trained on")
    return images, labels
