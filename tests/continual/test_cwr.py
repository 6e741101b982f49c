"""CWR* in float, and what naive fine-tuning forgets, on digits."""

from collections.abc import Callable

import pytest
import torch

from onebit import continual
from tests.continual.digits import OLD, digits


def accuracies(kind: type[continual.NaiveFineTuning], seed: int) -> tuple[float, float]:
    """On the six old and the four new digits, after two experiences of two new ones."""
    data = digits(seed)
    weight, bias = data.net.head.weight.detach(), data.net.head.bias.detach()
    rows = torch.zeros(10, weight.shape[1] + 1)
    rows[:OLD] = torch.cat([weight, bias[:, None]], dim=1)
    head = kind(rows, torch.tensor(data.samples + [0] * 4), seed=seed)
    features = continual.with_bias(data.features)
    for low in (6, 8):
        taught = data.indices(data.train, low, low + 2)
        head.learn(features[taught], data.labels[taught])

    def accuracy(low: int, high: int) -> float:
        asked = data.indices(data.test, low, high)
        return float((head.predict(features[asked]) == data.labels[asked]).float().mean())

    return accuracy(0, OLD), accuracy(OLD, 10)


@pytest.mark.slow
@pytest.mark.learning
def test_cwr_star_keeps_the_old_and_learns_the_new(seed: int, record_property: Callable[[str, object], None]) -> None:
    old, new = accuracies(continual.CWRStar, seed)
    record_property("old", old)
    record_property("new", new)
    assert old >= 0.65
    assert new >= 0.7


@pytest.mark.slow
@pytest.mark.learning
def test_naive_fine_tuning_forgets(seed: int, record_property: Callable[[str, object], None]) -> None:
    naive_old, _ = accuracies(continual.NaiveFineTuning, seed)
    old, _ = accuracies(continual.CWRStar, seed)
    record_property("old, lost to CWR*", old - naive_old)
    assert naive_old < old - 0.1


def test_consolidation_follows_the_equations() -> None:
    head = continual.CWRStar(torch.zeros(3, 2), torch.tensor([8, 8, 0]), steps=1, learning_rate=1.0)
    head.weight = torch.tensor([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]])
    features, labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 2])
    live = torch.tensor([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]], requires_grad=True)
    torch.nn.functional.cross_entropy(features @ live.T, labels).backward()
    live = (live - live.grad).detach()
    mu = live[[0, 2]].mean()
    head.learn(features, labels)
    ratio = (8 / 1) ** 0.5
    torch.testing.assert_close(head.weight[0], (torch.tensor([1.0, 2.0]) * ratio + live[0] - mu) / (ratio + 1))
    torch.testing.assert_close(head.weight[1], torch.tensor([3.0, 4.0]))  # absent: its gradient is discarded
    torch.testing.assert_close(head.weight[2], live[2] - mu)
    assert head.past.tolist() == [9, 8, 1]


@pytest.mark.parametrize("kind", [continual.CWRStar, continual.NaiveFineTuning])
def test_a_class_never_seen_is_never_predicted(kind: type[continual.NaiveFineTuning]) -> None:
    head = kind(torch.tensor([[-1.0], [-2.0], [0.0]]), torch.tensor([1, 1, 0]))
    assert head.predict(torch.tensor([[5.0]])).item() != 2
