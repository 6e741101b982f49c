import pytest
import torch

from onebit.data.augment import crop, cutout, flip
from onebit.data.sampler import seeded


def numbered(count=200, side=8):
    """Images whose pixels are all different and not 0."""
    return (torch.arange(side * side) + 1).reshape(1, 1, side, side).to(torch.uint8).repeat(count, 1, 1, 1)


def test_a_crop_is_a_window_of_the_padded_image():
    images = numbered()
    out = crop(images, seeded(0), padding=2)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    windows = {tuple(padded[0, 0, y : y + 8, x : x + 8].flatten().tolist()): (y, x) for y in range(5) for x in range(5)}
    found = [windows[tuple(image.flatten().tolist())] for image in out]
    assert len(set(found)) == 25, "every place is drawn"


def test_the_padding_of_a_crop_is_black_or_has_the_given_colour():
    white = torch.full((64, 3, 8, 8), 255, dtype=torch.uint8)
    for fill, options in (((0, 0, 0), {}), ((125, 122, 113), {"fill": (125, 122, 113)})):
        pixels = crop(white, seeded(0), padding=2, **options).permute(0, 2, 3, 1).reshape(-1, 3)
        assert {tuple(pixel) for pixel in pixels.tolist()} == {(255, 255, 255), fill}


def test_half_of_the_images_are_flipped():
    images = numbered(2000)
    out = flip(images, seeded(0))
    flipped = (out == images.flip(3)).all((1, 2, 3))
    assert (flipped | (out == images).all((1, 2, 3))).all()
    assert 0.45 < flipped.float().mean() < 0.55


def test_cutout_is_one_square_clipped_at_the_border():
    fill = torch.tensor([0.5, 0.25, 0.1])
    out = cutout(torch.ones(500, 3, 8, 8), seeded(0), fill, size=4)
    holes = out[:, 0] != 1
    assert torch.equal(out, torch.where(holes[:, None], fill.view(3, 1, 1), torch.ones(())))
    heights, widths = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(holes.sum((1, 2)), heights * widths), "a rectangle"
    assert (heights.min(), heights.max()) == (2, 4)
    assert (widths.min(), widths.max()) == (2, 4)


def black_cutout(images, generator):
    return cutout(images, generator, torch.zeros(images.shape[1]))


@pytest.mark.parametrize("step", [crop, flip, black_cutout])
def test_randomness_is_of_the_generator_alone(step):
    images = numbered().float() if step is black_cutout else numbered()
    before = torch.get_rng_state()
    first = step(images, seeded(1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(first, step(images, seeded(1)))
    assert not torch.equal(first, step(images, seeded(2)))
    assert torch.equal(images, numbered().to(images.dtype)), "the input is left as it was"


def reference_crop(images, generator, padding):
    """Byte by byte, as the module's page has it."""
    top, left = torch.randint(2 * padding + 1, (2, len(images)), generator=generator)
    out = torch.zeros_like(images)
    for image, y, x, to in zip(images, top.tolist(), left.tolist(), out, strict=True):
        padded = torch.nn.functional.pad(image, (padding,) * 4)
        to.copy_(padded[:, y : y + images.shape[2], x : x + images.shape[3]])
    return out


@pytest.mark.parametrize("channels", [1, 3])
def test_the_stream_is_that_of_the_plain_formulas(channels):
    images = torch.randint(256, (50, channels, 8, 12), generator=seeded(3), dtype=torch.uint8)
    assert torch.equal(crop(images, seeded(4), padding=3), reference_crop(images, seeded(4), 3))
    chosen = torch.randint(2, (50, 1, 1, 1), generator=seeded(5)).bool()
    assert torch.equal(flip(images, seeded(5)), torch.where(chosen, images.flip(3), images))
    numbers = images / 255 - 0.5
    generator, holes = seeded(6), []
    for side in (8, 12):
        start = torch.randint(side, (50, 1), generator=generator) - 2
        at = torch.arange(side)
        holes.append((at >= start) & (at < start + 4))
    fill = torch.tensor([0.5, -0.25, 1e-9])[:channels]
    hole = (holes[0][:, :, None] & holes[1][:, None, :])[:, None]
    expected = torch.where(hole, fill.view(-1, 1, 1), numbers)
    for layout in (torch.contiguous_format, torch.channels_last):
        assert torch.equal(cutout(numbers.contiguous(memory_format=layout), seeded(6), fill), expected)
