"""Lessons that are tried on held-out images before they are kept, and classes that get another name."""

from pathlib import Path

import numpy as np
import pytest

import onebit
from onebit import OnebitError
from onebit.runtime import Accuracy, Gate, Learner
from tests.runtime.packed import write_backbone
from tests.runtime.test_learner import noise_images, state

HELD_OUT = noise_images(1, 20)[12:] + noise_images(2, 20)[12:]  # other images of the same two kinds
TRUTH = ["fox"] * 8 + ["elk"] * 8


@pytest.fixture
def learner(tmp_path: Path):
    weight = np.random.default_rng(1).standard_normal((2, 8)) * 0.3
    path = write_backbone(tmp_path / "m.obn", weight, np.zeros(2), (-2, 2), ["cat", "dog"], [20, 30], (6, 6, 1))
    with onebit.Learner.create(tmp_path / "store", onebit.load(path)) as made:
        made.teach(noise_images(1), "fox", experience="first")
        yield made


def file_of(learner: Learner) -> bytes:
    return (learner.folder / "learner.state").read_bytes()


def test_a_good_experience_passes_and_says_what_changed(learner: Learner) -> None:
    before = learner.scores(HELD_OUT).argmax(axis=1)
    names = list(learner.classes)
    images, truth = noise_images(1) + noise_images(2), ["fox"] * 12 + ["elk"] * 12
    taught = learner.teach(images, truth, experience="x", gate=Gate(HELD_OUT, TRUTH))
    assert taught.counted
    assert not taught.refused
    assert taught.new == ("elk",)
    right = np.array([names[i] for i in before]) == np.array(TRUTH)
    assert taught.before == Accuracy(right.mean(), right[:8].mean(), 0.0)
    after = np.array(list(learner.classes))[learner.scores(HELD_OUT).argmax(axis=1)] == np.array(TRUTH)
    assert taught.after == Accuracy(after.mean(), after[:8].mean(), after[8:].mean())
    assert taught.after.all > taught.before.all
    assert set(taught.milliseconds) == {"features", "update", "commit"}
    assert min(taught.milliseconds.values()) > 0
    # 250 steps of the 24 images, forward and gradient, four classes of eight features.
    assert taught.operations["update"] == 250 * 24 * 2 * 4 * 8


@pytest.mark.parametrize("minimum", [None, 0.99])
def test_a_bad_experience_changes_nothing(learner: Learner, minimum: float | None) -> None:
    """Foxes taught as elks, and elks as foxes: the foxes held out are then elks."""
    wrong, names = noise_images(1, 60) + noise_images(2, 60), ["elk"] * 60 + ["fox"] * 60
    gate = Gate(HELD_OUT[:8], TRUTH[:8], minimum)
    before, content = state(learner), file_of(learner)
    taught = learner.teach(wrong, names, experience="wrong", gate=gate)
    assert taught.refused
    assert not taught.counted
    assert taught.after.all < taught.before.all
    assert state(learner) == before
    assert file_of(learner) == content
    assert not learner.counted("wrong")
    # Without the gate it is learned; a gate of 0 only measures.
    taught = learner.teach(wrong, names, experience="wrong", gate=Gate(HELD_OUT[:8], TRUTH[:8], 0))
    assert taught.counted
    assert learner.counted("wrong")
    assert state(learner) != before


def test_a_gated_experience_is_the_same_experience(tmp_path: Path, learner: Learner) -> None:
    learner.teach(noise_images(2), "elk", experience="x")
    plain = state(learner)
    learner.rollback()
    learner.teach(noise_images(2), "elk", experience="x", gate=Gate(HELD_OUT, TRUTH))
    assert state(learner) == plain


def test_an_experience_that_was_counted_is_not_tried(learner: Learner) -> None:
    taught = learner.teach(noise_images(2), "elk", experience="first", gate=Gate(HELD_OUT, TRUTH, 1))
    assert not taught.counted
    assert not taught.refused
    assert taught.before == taught.after
    assert taught.new == ()


def test_an_experience_that_is_interrupted_is_dropped(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    before, calls = state(learner), []
    answer = Learner._predicted_names

    def interrupt(self: Learner, features: np.ndarray) -> list[str]:
        calls.append(len(features))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return answer(self, features)

    monkeypatch.setattr(Learner, "_predicted_names", interrupt)
    with pytest.raises(KeyboardInterrupt):
        learner.teach(noise_images(2), "elk", experience="x", gate=Gate(HELD_OUT, TRUTH))
    assert state(learner) == before
    assert learner.teach(noise_images(2), "elk", experience="x").counted


@pytest.mark.parametrize("wrong", [([], [], None), (HELD_OUT, TRUTH[:3], None), (HELD_OUT, TRUTH, 1.5)])
def test_a_gate_that_is_none_is_refused(wrong: tuple) -> None:
    with pytest.raises(OnebitError, match="gate"):
        Gate(*wrong)


def test_the_first_class_of_all_can_pass_a_gate(tmp_path: Path) -> None:
    path = write_backbone(tmp_path / "n.obn", np.zeros((1, 8)), None, (-2, 2), ["never"], [0], (6, 6, 1))
    with onebit.Learner.create(tmp_path / "empty", onebit.load(path)) as learner:
        taught = learner.teach(noise_images(1), "fox", gate=Gate(HELD_OUT[:8], TRUTH[:8]))
    assert taught.counted
    assert taught.before == Accuracy(0.0, None, 0.0)
    assert taught.after == Accuracy(1.0, None, 1.0)


def test_rename(learner: Learner) -> None:
    names, scores = list(learner.classes), learner.scores(HELD_OUT)
    learner.rename("fox", "red fox")
    assert list(learner.classes) == [*names[:2], "red fox"]
    assert (learner.scores(HELD_OUT) == scores).all()
    assert learner.predict(HELD_OUT[0]).label in learner.classes
    for name, new_name in (("fox", "x"), ("red fox", "cat"), ("red fox", ""), ("red fox", "a\nb"), ("cat", "x" * 64)):
        with pytest.raises(OnebitError):
            learner.rename(name, new_name)
    learner.rollback()
    assert list(learner.classes) == names
