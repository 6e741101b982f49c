"""NC, NI and NIC: what each promises, on any labels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from onebit import OnebitError
from onebit.continual import Stream, new_classes, new_instances, new_instances_and_classes, random_sessions

SEEDS = st.integers(0, 2**31)


def samples(classes: int, minimum: int) -> st.SearchStrategy[Tensor]:
    """Labels of up to ``classes`` classes, each with ``minimum`` samples or more, in any order."""
    sizes = st.lists(st.integers(minimum, minimum + 20), min_size=2, max_size=classes)
    return st.tuples(sizes, SEEDS).map(
        lambda drawn: torch.arange(len(drawn[0])).repeat_interleave(torch.tensor(drawn[0]))[
            torch.randperm(sum(drawn[0]), generator=torch.Generator().manual_seed(drawn[1]))
        ]
    )


def same(one: Stream, other: Stream) -> bool:
    return len(one) == len(other) and all(torch.equal(a.indices, b.indices) for a, b in zip(one, other, strict=True))


def check(stream: Stream, labels: Tensor) -> None:
    """Every sample once, and the classes are those of the samples."""
    assert sorted(torch.cat([e.indices for e in stream]).tolist()) == list(range(len(labels)))
    for experience in stream:
        assert experience.classes == tuple(labels[experience.indices].unique().tolist())
    assert len({e.id for e in stream}) == len(stream)


@given(samples(8, 1), SEEDS)
def test_new_classes_come_once(labels: Tensor, seed: int) -> None:
    count = len(labels.unique())
    sizes = [1] * (count % 2) + [2] * (count // 2)
    stream = new_classes(labels, sizes, seed)
    check(stream, labels)
    assert [len(e.classes) for e in stream] == sizes
    assert sorted(c for e in stream for c in e.classes) == list(range(count))
    assert same(stream, new_classes(labels, sizes, seed))


def test_the_seed_shuffles_the_classes() -> None:
    labels = torch.arange(10)
    streams = [[e.classes for e in new_classes(labels, [2] * 5, seed)] for seed in (None, 3, 4)]
    assert streams[0] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert streams[1] != streams[2]


@pytest.mark.parametrize("sizes", [[6, 2], [6, 5], [], [10, 0]])
def test_sizes_must_add_up(sizes: list[int]) -> None:
    with pytest.raises(OnebitError):
        new_classes(torch.arange(10), sizes)


@given(samples(5, 6), SEEDS, st.integers(1, 6))
def test_new_instances_are_dealt_evenly(labels: Tensor, seed: int, experiences: int) -> None:
    stream = new_instances(labels, experiences, seed)
    check(stream, labels)
    assert len(stream) == experiences
    counts = torch.stack([labels[e.indices].bincount(minlength=int(labels.max()) + 1) for e in stream])
    assert (counts.amax(0) - counts.amin(0) <= 1).all()
    assert same(stream, new_instances(labels, experiences, seed))


@given(samples(5, 8), SEEDS)
def test_sessions_stay_whole(labels: Tensor, seed: int) -> None:
    sessions = torch.arange(len(labels)) % 7
    stream = new_instances(labels, 3, seed, sessions)
    check(stream, labels)
    taught = [set(sessions[e.indices].tolist()) for e in stream]
    assert sum(map(len, taught)) == 7


@given(st.integers(3, 12), st.integers(1, 6), st.data())
def test_new_instances_and_classes(classes: int, parts: int, data: st.DataObject) -> None:
    labels = torch.arange(classes).repeat(12)
    seed, first = data.draw(SEEDS), data.draw(st.integers(1, classes // 2))
    units = data.draw(st.integers(1, max(1, classes // 3)))
    sessions = random_sessions(labels, parts, seed)
    stream = new_instances_and_classes(labels, sessions, first, units, seed)
    check(stream, labels)
    assert len(stream[0].classes) == first
    assert all(len(e.classes) <= units for e in list(stream)[1:])
    for experience, following in zip(stream, list(stream)[1:], strict=False):
        assert not set(experience.classes) & set(following.classes)
        pairs = {(int(labels[i]), int(sessions[i])) for i in experience.indices}
        assert len(pairs) == len(experience.classes), "one session of a class"
    assert same(stream, new_instances_and_classes(labels, sessions, first, units, seed))


def test_new_classes_appear_late_in_nic() -> None:
    labels = torch.arange(50).repeat(8)
    stream = new_instances_and_classes(labels, torch.arange(8).repeat_interleave(50), 10, 1, seed=0)
    arrivals = [min(n for n, e in enumerate(stream) if c in e.classes) for c in range(50)]
    assert sum(n > len(stream) / 4 for n in arrivals) >= 15
    assert max(arrivals) <= len(stream) * 0.7


@pytest.mark.parametrize(
    "make",
    [
        lambda labels: new_instances(labels, 0, 0),
        lambda labels: new_instances(labels, 5, 0),
        lambda labels: new_instances(labels, 3, 0, torch.tensor([0, 0, 1, 1])),
        lambda labels: new_instances_and_classes(labels, torch.arange(4), 0, 1, 0),
        lambda labels: new_instances_and_classes(labels, torch.arange(4), 3, 1, 0),
        lambda labels: new_instances_and_classes(labels, torch.arange(4), 1, 0, 0),
        lambda labels: new_instances_and_classes(labels, torch.arange(4), 1, 1, 0),
        lambda labels: random_sessions(labels, 0, 0),
    ],
)
def test_what_cannot_be_is_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OnebitError):
        make(torch.tensor([0, 0, 0, 1]))
