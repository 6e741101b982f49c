import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onebit.data.sampler import EpochSampler, seeded
from onebit.errors import OnebitError

sizes = {"count": st.integers(1, 60), "batch_size": st.integers(1, 20), "world": st.integers(1, 5)}


def all_ranks(count, batch_size, world, **options):
    return [EpochSampler(count, batch_size, rank=rank, world=world, **options) for rank in range(world)]


@settings(deadline=None)
@given(**sizes, seed=st.integers(0, 2**63), epoch=st.integers(0, 1000))
def test_the_union_of_all_processes_is_the_epoch(count, batch_size, world, seed, epoch):
    samplers = all_ranks(count, batch_size, world, shuffle=True, seed=seed)
    for sampler in samplers:
        sampler.set_epoch(epoch)
    parts = [sampler.batches() for sampler in samplers]
    assert len({len(part) for part in parts}) == 1, "all processes take the same number of steps"
    assert [len(part) for part in parts] == [len(sampler) for sampler in samplers]
    images = torch.cat([batch for part in parts for batch in part])
    assert set(images.tolist()) == set(range(count))
    assert len(images) == -(-count // world) * world


@settings(deadline=None)
@given(**sizes)
def test_without_shuffling_each_image_comes_once_and_in_order(count, batch_size, world):
    samplers = all_ranks(count, batch_size, world, shuffle=False)
    images = [torch.cat([torch.empty(0, dtype=torch.int64), *sampler.batches()]) for sampler in samplers]
    assert [len(sampler.batches()) for sampler in samplers] == [len(sampler) for sampler in samplers]
    assert sorted(torch.cat(images).tolist()) == list(range(count))
    assert all((part.diff() > 0).all() for part in images)


@settings(deadline=None)
@given(count=st.integers(2, 60), batch_size=st.integers(2, 20))
def test_no_batch_is_of_one_image_and_only_the_last_differs_in_size(count, batch_size):
    lengths = [len(batch) for batch in EpochSampler(count, batch_size, shuffle=True).batches()]
    assert all(length == batch_size for length in lengths[:-1])
    assert 2 <= lengths[-1] <= batch_size + 1


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = EpochSampler(50, 8, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        torch.manual_seed(torch.seed() % 1000)
        return torch.cat(sampler.batches()).tolist()

    assert order(1, 2) == order(1, 2)
    distinct = {tuple(order(seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(distinct) == 25


def test_generators_differ_in_every_part_of_their_key():
    keys = [(s, e, b, r) for s in range(3) for e in range(3) for b in range(3) for r in range(3)]
    values = {torch.rand(1, generator=seeded(*key), dtype=torch.float64).item() for key in keys}
    assert len(values) == len(keys)
    assert seeded(2**40).initial_seed() != seeded(2**40 + 2**32).initial_seed()


def test_a_pass_that_was_left_is_followed_by_the_next_epoch():
    sampler = EpochSampler(10, 2, shuffle=True)
    assert sampler.begin() == 0
    sampler.position += 2
    assert sampler.begin() == 0
    assert sampler.epoch == 1


def test_state_in_the_middle_and_at_the_end():
    sampler = EpochSampler(10, 2, shuffle=True)
    sampler.set_epoch(3)
    sampler.position = 2
    other = EpochSampler(10, 2, shuffle=True)
    other.load_state_dict(sampler.state_dict())
    other.set_epoch(3)  # Lightning calls it for the epoch that it resumes
    assert (other.begin(), other.epoch) == (2, 3)
    sampler.position = 5
    other.load_state_dict(sampler.state_dict())
    assert (other.begin(), other.epoch) == (0, 4)


@pytest.mark.parametrize("changed", [{"count": 12}, {"batch_size": 3}, {"seed": 1}, {"world": 2}])
def test_an_epoch_divided_otherwise_cannot_be_resumed_in_its_middle(changed):
    same = {"count": 10, "batch_size": 2, "seed": 0, "world": 1, "shuffle": True}
    sampler, other = EpochSampler(**same), EpochSampler(**(same | changed))
    sampler.position = 2
    with pytest.raises(OnebitError, match="cannot resume in the middle"):
        other.load_state_dict(sampler.state_dict())
    sampler.position = 5
    other.load_state_dict(sampler.state_dict())
    assert other.epoch == 1


@pytest.mark.parametrize("wrong", [{"count": 0}, {"batch_size": 0}, {"seed": -1}])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(OnebitError):
        EpochSampler(**({"count": 1, "batch_size": 1, "shuffle": True} | wrong))
