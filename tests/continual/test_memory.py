"""The replay memory: never past its capacity, and one bit per latent."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onebit import OnebitError
from onebit.continual import LatentBinarizer, ReplayMemory
from onebit.continual.memory import item_bytes, items_in


@given(st.integers(1, 40), st.lists(st.integers(1, 60), min_size=1, max_size=8), st.booleans())
def test_the_capacity_is_never_passed(capacity: int, sizes: list[int], binary: bool) -> None:
    memory = ReplayMemory(capacity, LatentBinarizer() if binary else None)
    for number, size in enumerate(sizes):
        latents = torch.randn(size, 3, 2, 2)
        if memory.binarizer is not None and memory.binarizer.scale is None:
            memory.binarizer.measure(latents)
        before = memory.labels.tolist()
        memory.update(latents, torch.full((size,), number))
        taken = min(capacity // (number + 1), size)
        assert len(memory) == min(capacity, len(before) + taken)
        assert memory.labels.tolist().count(number) == taken
        assert memory[torch.arange(len(memory))][0].shape == (len(memory), 3, 2, 2)
    assert memory.bytes == capacity * ((2 if binary else 48) + 2)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**31))
def test_bits_come_back(channels: int, height: int, width: int, seed: int) -> None:
    latents = torch.randn(4, channels, height, width, generator=torch.Generator().manual_seed(seed))
    latents[0] = 0
    binarizer = LatentBinarizer()
    binarizer.measure(latents)
    rows = binarizer.pack(latents)
    assert (rows.dtype, rows.shape) == (torch.uint8, (4, -(-channels * height * width // 8)))
    assert torch.equal(binarizer.unpack(rows, latents.shape[1:]), binarizer(latents))
    assert torch.equal(binarizer(binarizer(latents)), binarizer(latents)), "replayed latents stay as they are"


def test_a_bit_is_one_for_minus_and_channels_are_innermost() -> None:
    latents = torch.ones(1, 2, 1, 3)
    latents[0, 1, 0, 0] = latents[0, 0, 0, 2] = -1
    assert LatentBinarizer().pack(latents).tolist() == [[0b010010]]


def test_the_scale_is_the_mean_magnitude_of_a_channel() -> None:
    latents = torch.randn(5, 3, 2, 2)
    binarizer = LatentBinarizer()
    with pytest.raises(OnebitError, match="no scale"):
        binarizer(latents)
    binarizer.measure(latents)
    for c in range(3):
        torch.testing.assert_close(binarizer(latents)[:, c].abs(), latents[:, c].abs().mean().expand(5, 2, 2))
    assert binarizer(torch.zeros(1, 3, 1, 1)).min() > 0


def test_what_is_stored_is_what_was_given() -> None:
    latents, labels = torch.arange(24.0).view(6, 2, 2, 1), torch.arange(6)
    memory = ReplayMemory(4)
    memory.update(latents, labels)
    kept, names = memory[torch.tensor([3, 0])]
    assert torch.equal(kept, latents[names])
    memory.update(latents + 100, labels + 10)
    kept, names = memory[torch.arange(4)]
    assert torch.equal(
        kept, torch.where((names < 10).view(-1, 1, 1, 1), latents[names % 10], latents[names % 10] + 100)
    )
    assert (names >= 10).sum() == 2


def test_one_bit_takes_a_thirty_second_of_float() -> None:
    binary, real = (item_bytes(4 * 4 * 512, kind) - 2 for kind in (True, False))
    assert (300 * binary, 300 * real) == (307_200, 9_830_400)
    assert items_in(300 * (binary + 2) + 5, 4 * 4 * 512, True) == 300


def test_no_memory_is_refused() -> None:
    with pytest.raises(OnebitError, match="0 latents"):
        ReplayMemory(0)
    with pytest.raises(IndexError):
        ReplayMemory(1)[torch.tensor([0])]
