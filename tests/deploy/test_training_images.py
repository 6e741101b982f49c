"""The images that an export takes from the data set of a checkpoint, or from nowhere."""

from pathlib import Path
from typing import Any

import pytest
import torch

from onebit import OnebitError, data, deploy

INFO: dict[str, Any] = {
    "data": {"name": "digits", "options": {}},
    "classes": ["7", "0", "3"],
    "shape": [1, 8, 8],
    "mean": [0.25],
    "std": [0.5],
    "seed": 5,
}


def test_calibration_images_are_spread_over_the_known_classes() -> None:
    images, origin = deploy.calibration_images(INFO)
    train, digits = data.create("digits").train()
    known = train[torch.isin(digits, torch.tensor([0, 3, 7]))]
    assert origin == f"{min(512, len(known))} training images of digits"
    assert images.shape == (min(512, len(known)), 1, 8, 8)
    torch.testing.assert_close(images[0], (known[0] / 255 - 0.25) / 0.5)
    torch.testing.assert_close(images[-1], (known[-1] / 255 - 0.25) / 0.5)


def test_noise_is_taken_only_where_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEBIT_DATA", str(tmp_path))
    info = INFO | {"data": {"name": "mnist", "options": {}}}
    with pytest.raises(OnebitError, match="the data set mnist is not in"):
        deploy.calibration_images(info)
    images, origin = deploy.calibration_images(info, noise=True)
    assert images.shape == (512, 1, 8, 8)
    assert origin.startswith("random noise, for want of training images: the data set mnist is not in")
    with pytest.raises(OnebitError, match="the data set mnist is not in"):
        deploy.replay_images(info, 3)


def test_another_shape_is_another_data_set() -> None:
    with pytest.raises(OnebitError, match="not the one it was trained on"):
        deploy.calibration_images(INFO | {"shape": [3, 8, 8]})


def test_of_no_image_there_is_nothing_to_replay() -> None:
    assert deploy.replay_images(INFO, 0) == deploy.Teachable()
    with pytest.raises(OnebitError, match="-1 images"):
        deploy.replay_images(INFO, -1)


def test_the_classes_of_replayed_images_take_turns() -> None:
    info = {"data": {"name": "digits", "options": {}}, "classes": ["7", "0", "3"], "seed": 5, "shape": [1, 8, 8]}
    info.update(mean=[0.0], std=[1.0])
    replayed = deploy.replay_images(info, 10)
    images, labels = replayed.images, replayed.labels
    assert images is not None
    assert sorted(labels[:3]) == sorted(labels[3:6]) == sorted(labels[6:9]) == [0, 1, 2]
    assert images.shape == (10, 1, 8, 8)
    assert deploy.replay_images(info, 10).labels == labels
    train, digits = data.create("digits").train()
    for image, label in zip(images * 255, labels, strict=True):
        same = (train - image).abs().flatten(1).amax(dim=1) < 1e-3
        assert digits[same].tolist() == [int(info["classes"][label])]
