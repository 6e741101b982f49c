"""onebit.Learner on a model with a teachable tail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onebit
from tests.continual.cut_digits import CutDigits, cut_digits

OLD = 8


@pytest.fixture(scope="module")
def digits(seed: int) -> CutDigits:
    return cut_digits(OLD, seed)


@pytest.fixture
def model(digits: CutDigits, tmp_path: Path) -> onebit.Model:
    digits.export(tmp_path / "m.obn", 200)
    return onebit.load(tmp_path / "m.obn")


@pytest.mark.slow
@pytest.mark.learning
def test_learns_new_digits_and_keeps_the_old(
    digits: CutDigits, model: onebit.Model, tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    new = digits.indices(digits.train, OLD, 10)
    with onebit.Learner.create(tmp_path / "store", model, replay=150, seed=seed) as learner:
        assert learner.replay == (150, 150)
        taught = learner.teach(digits.images[new].numpy(), [str(d) for d in digits.labels[new].tolist()], "a")
        assert taught.counted
        assert sorted(taught.new) == ["8", "9"]
        assert taught.operations["update"] > taught.operations["features"]
        names = np.array(list(learner.classes))
        accuracies = []
        for part, low, high in (("old", 0, OLD), ("new", OLD, 10)):
            held_out = digits.indices(digits.test, low, high)
            predicted = names[learner.scores(digits.images[held_out].numpy()).argmax(axis=1)]
            accuracies.append(float(np.mean(predicted == digits.labels[held_out].numpy().astype(str))))
            record_property(part, accuracies[-1])
        assert accuracies[0] > 0.8
        assert accuracies[1] > 0.7
        scores = learner.scores(digits.images[digits.test].numpy())
    with onebit.Learner.open(tmp_path / "store") as learner:
        assert (learner.scores(digits.images[digits.test].numpy()) == scores).all()
        kept = learner.replay[0]
        learner.forget("8")
        assert learner.replay[0] < kept
        assert learner.check()["commits"] == 0


@pytest.mark.slow
def test_without_replay_the_head_alone_learns(digits: CutDigits, model: onebit.Model, tmp_path: Path) -> None:
    with onebit.Learner.create(tmp_path / "head", model, replay=0) as head:
        assert head.replay == (0, 0)
        head.teach(digits.images[:4].numpy(), "new", "a", steps=3)
        small = head.check()["bytes"]
    with onebit.Learner.create(tmp_path / "tail", model, replay=10) as learner:
        assert learner.check()["bytes"] > small


def test_bad_options_are_refused(digits: CutDigits, model: onebit.Model, tmp_path: Path) -> None:
    with pytest.raises(onebit.OnebitError, match="replay is -1"):
        onebit.Learner.create(tmp_path / "store", model, replay=-1)
    with onebit.Learner.create(tmp_path / "store", model) as learner:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"replayed": 0}, "replayed are not above 0"),
            ({"replayed": 50}, "a mini-batch of 50 has no new sample beside 50"),
            ({"batch": 1}, "a mini-batch of 1 has no new sample beside 1"),
            ({"epochs": 0}, "not above 0"),
            ({"tail_rate": -1.0}, "the tail's rate 0 to 1e6"),
        ]
        for options, message in cases:
            with pytest.raises(onebit.OnebitError, match=message):
                learner.teach(digits.images[:4].numpy(), "new", "a", **options)
        assert "new" not in learner.classes
        assert learner.teach(digits.images[:4].numpy(), "new", "a", batch=8, epochs=1).counted
