"""Every operation against Pillow's of the same name, and the policy against Kornia's table of the same paper."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from onebit.data import autoaugment
from onebit.data.autoaugment import CIFAR10_POLICY, OPERATIONS, SHEARS, auto_augment, operate


def random_image(seed: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    low, high = sorted(torch.randint(256, (2,), generator=generator).tolist())
    return torch.randint(low, high + 1, (channels, 32, 32), generator=generator).to(torch.uint8)


def as_pillow(image: torch.Tensor) -> Image.Image:
    pixels = image.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])


def as_tensor(image: Image.Image) -> torch.Tensor:
    pixels = np.array(image)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)


FILL = (125, 122, 113)


def affine(resampling: Image.Resampling, *matrix: float):
    def transform(image: Image.Image) -> Image.Image:
        fill = FILL if image.mode == "RGB" else FILL[0]
        return image.transform(image.size, Image.Transform.AFFINE, matrix, resampling, fillcolor=fill)

    return transform


CUBIC, NEAREST = Image.Resampling.BICUBIC, Image.Resampling.NEAREST
PILLOW = {
    "shear_x": lambda t, s: affine(CUBIC, 1, 0.3 * t * s, 0, 0, 1, 0),
    "shear_y": lambda t, s: affine(CUBIC, 1, 0, 0, 0.3 * t * s, 1, 0),
    "translate_x": lambda t, s: affine(NEAREST, 1, 0, 150 / 331 * 32 * t * s, 0, 1, 0),
    "translate_y": lambda t, s: affine(NEAREST, 1, 0, 0, 0, 1, 150 / 331 * 32 * t * s),
    "rotate": lambda t, s: lambda image: image.rotate(30 * t, fillcolor=(128,) * len(image.getbands())),
    "brightness": lambda t, s: lambda image: ImageEnhance.Brightness(image).enhance(1 + 0.9 * t * s),
    "color": lambda t, s: lambda image: ImageEnhance.Color(image).enhance(1 + 0.9 * t * s),
    "contrast": lambda t, s: lambda image: ImageEnhance.Contrast(image).enhance(1 + 0.9 * t * s),
    "sharpness": lambda t, s: lambda image: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * t * s),
    "auto_contrast": lambda t, s: ImageOps.autocontrast,
    "equalize": lambda t, s: ImageOps.equalize,
    "invert": lambda t, s: ImageOps.invert,
    "posterize": lambda t, s: lambda image: ImageOps.posterize(image, 8 - round(4 * t)),
    "solarize": lambda t, s: lambda image: ImageOps.solarize(image, 256 * (1 - t)),
}
# Pillow's coordinates of nearest pixels have 16 binary places, so that two rows of 32 may be read one pixel beside
# ours; its blend and ours round at different places.
NEAREST_PIXEL = {"rotate", "translate_x", "translate_y"}
BLENDS = {"brightness", "color", "contrast", "sharpness"}


@pytest.mark.parametrize("name", PILLOW)
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([-1, 1]), st.sampled_from([1, 3]))
def test_an_operation_gives_the_bytes_of_pillow(name, seed, sign, channels):
    image = random_image(seed, channels)
    strength = torch.rand(1, generator=torch.Generator().manual_seed(seed)).item()
    expected = as_tensor(PILLOW[name](strength, sign)(as_pillow(image)))
    numbers = np.array([OPERATIONS.index(name)]), np.array([strength], np.float32), np.array([sign], np.float32)
    ours = torch.from_numpy(operate(image[None].numpy(), *numbers, FILL[:channels]))[0]
    assert ours.dtype == torch.uint8
    difference = (ours.int() - expected.int()).abs()
    if name in NEAREST_PIXEL:
        assert (difference > 0).float().mean() < 0.07
    else:
        assert difference.max() <= (name in BLENDS)


@pytest.mark.parametrize(
    ("name", "fill"), [*((name, FILL) for name in (*SHEARS, "translate_x", "translate_y")), ("rotate", (128,) * 3)]
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_what_an_operation_uncovers_gets_the_released_colour(name, fill, sign):
    white = np.full((1, 3, 32, 32), 255, np.uint8)
    ones = np.ones(1, np.float32)
    moved = operate(white, np.array([OPERATIONS.index(name)]), ones, sign * ones, FILL)[0].reshape(3, -1).T
    assert {tuple(pixel) for pixel in moved.tolist()} == {(255, 255, 255), fill}


def test_rotations_go_counter_clockwise():
    image = np.zeros((2, 1, 33, 33), np.uint8)
    image[:, 0, 16, 26] = 255  # right of the centre
    ones = np.ones(2, np.float32)
    turned = operate(image, np.full(2, OPERATIONS.index("rotate")), ones, ones * [-1, 1], [0])
    for place in np.argwhere(turned == 255):
        assert tuple(place[2:]) == (11, 25)  # up by 10 sin 30°


def test_shears_of_images_that_are_not_square():
    image = torch.randint(256, (1, 3, 20, 12), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    for name in SHEARS:
        ones = np.ones(1, np.float32)
        ours = operate(image.numpy(), np.array([OPERATIONS.index(name)]), ones, ones, FILL)[0]
        assert np.array_equal(ours, as_tensor(PILLOW[name](1, 1)(as_pillow(image[0]))).numpy())


def test_the_policy_is_the_published_one():
    from kornia.augmentation.auto.autoaugment.autoaugment import cifar10_policy

    for ours, theirs in zip(CIFAR10_POLICY, cifar10_policy, strict=True):
        for (name, probability, magnitude), (other_name, other_probability, other_magnitude) in zip(
            ours, theirs, strict=True
        ):
            assert (name, probability) == (other_name, other_probability)
            assert other_magnitude in (None, magnitude)


def test_images_draw_sub_policies_of_their_own_and_batches_repeat():
    image = random_image(1)
    batch = image.repeat(400, 1, 1, 1)
    first = auto_augment(batch, torch.Generator().manual_seed(5), FILL)
    again = auto_augment(batch, torch.Generator().manual_seed(5), FILL)
    assert torch.equal(first, again)
    assert torch.equal(batch, image.expand_as(batch)), "the input is left as it was"
    assert len(first.unique(dim=0)) > 30


def test_an_operation_is_done_as_often_as_its_probability_says(monkeypatch):
    monkeypatch.setattr(autoaugment, "_TABLES", _tables_of("invert", 0.3, "solarize", 0.0))
    batch = torch.full((4000, 1, 2, 2), 10, dtype=torch.uint8)
    inverted = (auto_augment(batch, torch.Generator().manual_seed(0), [0]) == 245).all((1, 2, 3)).float().mean()
    assert abs(inverted - 0.3) < 0.03


def _tables_of(first: str, p: float, second: str, q: float):
    ones = np.ones(25, np.float32)
    return tuple(
        (np.full(25, OPERATIONS.index(name)), chance * ones, ones) for name, chance in ((first, p), (second, q))
    )


def test_operations_of_one_batch_do_not_touch_each_other():
    images = torch.stack([random_image(seed) for seed in range(3 * len(OPERATIONS))])
    kinds = np.arange(len(images)) % (len(OPERATIONS) + 1) - 1
    random = np.random.default_rng(0)
    sign = random.choice(np.array([-1, 1], np.float32), len(images))
    numbers = kinds, random.random(len(images), np.float32), sign
    together = operate(images.numpy(), *numbers, FILL)
    for place, image in enumerate(images.numpy()):
        alone = operate(image[None], *(values[place : place + 1] for values in numbers), FILL)[0]
        assert np.array_equal(together[place], alone)
        assert kinds[place] >= 0 or np.array_equal(alone, image)
