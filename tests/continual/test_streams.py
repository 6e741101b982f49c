import pytest
import torch

from onebit import OnebitError, continual


def test_every_sample_is_taught_once_and_no_class_twice() -> None:
    labels = torch.randint(0, 10, (500,), generator=torch.Generator().manual_seed(0))
    stream = continual.new_classes(labels, [6, 2, 2], seed=3)
    assert sorted(c for e in stream for c in e.classes) == list(range(10))
    assert sorted(torch.cat([e.indices for e in stream]).tolist()) == list(range(500))
    for experience in stream:
        assert set(labels[experience.indices].tolist()) == set(experience.classes)
    assert [e.classes for e in stream] == [e.classes for e in continual.new_classes(labels, [6, 2, 2], seed=3)]
    assert [e.classes for e in stream] != [e.classes for e in continual.new_classes(labels, [6, 2, 2], seed=4)]


@pytest.mark.parametrize("sizes", [[6, 2], [6, 5], [], [10, 0]])
def test_sizes_must_add_up(sizes: list[int]) -> None:
    with pytest.raises(OnebitError):
        continual.new_classes(torch.arange(10), sizes)
