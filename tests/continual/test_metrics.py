"""The metrics by their formulas, and what a run measures."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from onebit import OnebitError
from onebit.continual import Accuracies, NearestClassMean, Strategy, new_classes, run
from onebit.continual.plot import plot_accuracies

R = torch.tensor([[0.9, 0.0, 0.1], [0.5, 0.8, 0.0], [0.6, 0.7, 1.0]], dtype=torch.float64)


def test_the_formulas() -> None:
    accuracies = Accuracies(R, torch.ones(3))
    assert accuracies.average == pytest.approx((0.6 + 0.7 + 1.0) / 3)
    assert accuracies.backward_transfer == pytest.approx(((0.6 - 0.9) + (0.7 - 0.8)) / 2)
    assert accuracies.forgetting == pytest.approx((max(0.9, 0.5) - 0.6 + max(0.0, 0.8) - 0.7) / 2)


def test_one_experience_forgets_nothing() -> None:
    accuracies = Accuracies(torch.ones(1, 1), torch.ones(1))
    assert (accuracies.average, accuracies.backward_transfer, accuracies.forgetting) == (1, 0, 0)


class LastOnly(Strategy):
    """Answers with the first class of the last experience."""

    def learn(self, inputs: Tensor, labels: Tensor) -> None:
        self.answer = int(labels.min())

    def predict(self, inputs: Tensor) -> Tensor:
        return torch.full((len(inputs),), self.answer)


def test_a_run_measures_each_part_and_all_seen() -> None:
    labels = torch.arange(4).repeat_interleave(3)
    test = torch.tensor([0, 0, 0, 1, 2, 3])
    told: list[int] = []
    stream = new_classes(labels, [2, 1, 1])
    accuracies = run(LastOnly(), stream, (labels, labels), (test, test), after=told.append)
    assert accuracies.matrix.tolist() == [[0.75, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert accuracies.seen.tolist() == pytest.approx([3 / 4, 1 / 5, 1 / 6])
    assert told == [0, 1, 2]


def test_a_class_without_test_samples_is_named() -> None:
    labels = torch.arange(3)
    with pytest.raises(OnebitError, match="nc-2"):
        run(NearestClassMean(3), new_classes(labels, [1, 1, 1]), (labels, labels), (labels[:2], labels[:2]))


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_plot(tmp_path: Path, suffix: str) -> None:
    runs = {"one": [Accuracies(R, R[0])], "three": [Accuracies(R, row) for row in R]}
    plot_accuracies(runs, tmp_path / f"p.{suffix}", "title")
    assert (tmp_path / f"p.{suffix}").stat().st_size > 5000
