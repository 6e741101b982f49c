"""onebit.Learner: teaching, counting once, rollback, forgetting, what it refuses, and learning on real digits."""

import copy
import os
import pickle
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import onebit
from onebit import OnebitError, deploy
from onebit.runtime import Gate
from tests.continual.digits import OLD, digits
from tests.runtime.packed import write_backbone


@pytest.fixture
def model(tmp_path: Path) -> onebit.Model:
    """Eight random projections of a grey 6 x 6 image, and a head of three classes, one of them never seen."""
    weight = np.random.default_rng(1).standard_normal((3, 8)) * 0.3
    path = write_backbone(
        tmp_path / "m.obn", weight, np.zeros(3), (-2, 2), ["cat", "dog", "owl"], [20, 30, 0], (6, 6, 1)
    )
    return onebit.load(path)


def noise_images(seed: int, count: int = 12) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 200, (6, 6))
    return [(base + rng.integers(0, 50, (6, 6))).astype(np.uint8) for _ in range(count)]


def state(learner: onebit.Learner) -> tuple[dict[str, int], bytes]:
    """The classes and the answers on fixed images."""
    return learner.classes, learner.scores(noise_images(0) + noise_images(1) + noise_images(2)).tobytes()


def test_teach_and_predict(tmp_path: Path, model: onebit.Model) -> None:
    with onebit.Learner.create(tmp_path / "store", model) as learner:
        assert learner.classes == {"cat": 20, "dog": 30}
        taught = learner.teach(noise_images(1) + noise_images(2), ["fox"] * 12 + ["elk"] * 12)
        assert taught.counted
        assert taught.new == ("fox", "elk")
        assert learner.classes == {"cat": 20, "dog": 30, "fox": 12, "elk": 12}
        answer = learner.predict(noise_images(2, 13)[-1])
        assert answer.label == "elk"
        assert list(learner.classes)[answer.index] == "elk"
        assert answer.scores.sum() == pytest.approx(1, abs=1e-4)
        answers = state(learner)
    with onebit.Learner.open(tmp_path / "store") as learner:
        assert state(learner) == answers


def test_every_form_of_an_image_teaches_the_same(tmp_path: Path, model: onebit.Model) -> None:
    images = noise_images(3)
    paths = [tmp_path / f"{i}.png" for i in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    normalised = np.stack(images)[:, None].astype(np.float32) / np.float32(255)
    results = []
    for i, form in enumerate((images, paths, [Image.fromarray(image) for image in images], normalised)):
        with onebit.Learner.create(tmp_path / f"store{i}", model) as learner:
            learner.teach(form, "fox", experience="x")
            results.append(state(learner))
    assert results.count(results[0]) == 4


def test_an_experience_is_counted_once(tmp_path: Path, model: onebit.Model) -> None:
    with onebit.Learner.create(tmp_path / "store", model) as learner:
        assert learner.teach(noise_images(1), "fox", experience="monday").counted
        before = state(learner)
        assert not learner.teach(noise_images(2), "elk", experience="monday").counted
        assert state(learner) == before
    with onebit.Learner.open(tmp_path / "store") as learner:
        assert not learner.teach(noise_images(1), "fox", experience="monday").counted
        # Without an id the images make one.
        assert learner.teach(noise_images(2), "elk").counted
        assert not learner.teach(noise_images(2), "elk").counted
        assert learner.teach(noise_images(2), "fox").counted


def test_rollback_is_exact(tmp_path: Path, model: onebit.Model) -> None:
    with onebit.Learner.create(tmp_path / "store", model, history=3) as learner:
        states = [state(learner)]
        for i in range(6):
            learner.teach(noise_images(i), ["fox", "elk", "cat"][i % 3], experience=str(i))
            states.append(state(learner))
        assert learner.check()["commits"] == 3
        learner.rollback()
        assert state(learner) == states[5]
        learner.rollback(2)
        assert state(learner) == states[3]
        with pytest.raises(OnebitError, match="cannot go back"):
            learner.rollback()
        # Taught again, it is the same state again: the generator went back too.
        for i in range(3, 6):
            assert learner.teach(noise_images(i), ["fox", "elk", "cat"][i % 3], experience=str(i)).counted
        assert state(learner) == states[6]


def test_forgetting_leaves_nothing(tmp_path: Path, model: onebit.Model) -> None:
    with onebit.Learner.create(tmp_path / "store", model) as learner:
        learner.teach(noise_images(1), "secret name", experience="a")
        learner.teach(noise_images(2), "elk", experience="b")
        file = tmp_path / "store" / "learner.state"
        size = file.stat().st_size
        assert b"secret name" in file.read_bytes()
        learner.forget("secret name")
        assert b"secret name" not in file.read_bytes()
        assert list(learner.classes) == ["cat", "dog", "elk"]
        assert learner.check()["commits"] == 0
        assert file.stat().st_size == size
        with pytest.raises(OnebitError, match="no class"):
            learner.forget("secret name")


def test_the_state_is_locked_and_belongs_to_one_backbone(tmp_path: Path, model: onebit.Model) -> None:
    other = onebit.load(
        write_backbone(tmp_path / "o.obn", np.ones((2, 8)), None, (-2, 2), ["a", "b"], [1, 1], (6, 6, 1))
    )
    with onebit.Learner.create(tmp_path / "store", model), pytest.raises(OnebitError, match="in use"):
        onebit.Learner.open(tmp_path / "store")
    with pytest.raises(OnebitError, match="another backbone"):
        onebit.Learner.open(tmp_path / "store", other)
    with pytest.raises(OnebitError, match="already"):
        onebit.Learner.create(tmp_path / "store", other)
    assert onebit.Learner.open(tmp_path / "store").classes == {"cat": 20, "dog": 30}


@pytest.mark.parametrize(
    ("images", "names", "options"),
    [
        ([], "fox", {}),
        (noise_images(1), ["fox"], {}),
        (noise_images(1), "", {}),
        (noise_images(1), "a\0b", {}),
        (noise_images(1), "\ud800", {}),
        (noise_images(1), "x" * 64, {}),
        (noise_images(1), "a\nb", {}),
        (["no-such-file.png"], "fox", {}),
        ([np.zeros((2, 2, 4), np.uint8)], "fox", {}),
        (np.full((2, 1, 6, 6), np.nan, np.float32), "fox", {}),
        (np.zeros((2, 1, 5, 6), np.float32), "fox", {}),
        (noise_images(1), "fox", {"experience": ""}),
        (noise_images(1), "fox", {"steps": 0}),
        (noise_images(1), "fox", {"batch": 0}),
        (noise_images(1), "fox", {"learning_rate": float("nan")}),
    ],
)
def test_bad_experiences_change_nothing(tmp_path: Path, model: onebit.Model, images, names, options) -> None:
    with onebit.Learner.create(tmp_path / "store", model) as learner:
        before = (tmp_path / "store" / "learner.state").read_bytes()
        with pytest.raises(OnebitError):
            learner.teach(images, names, **options)
        assert (tmp_path / "store" / "learner.state").read_bytes() == before


def test_creation_is_whole_or_not_at_all(tmp_path: Path, model: onebit.Model) -> None:
    with pytest.raises(OnebitError):
        onebit.Learner.create(tmp_path / "store", model, max_classes=0)
    with pytest.raises(OnebitError):
        onebit.Learner.create(tmp_path / "store", model, max_classes=1)  # the backbone has two
    assert not (tmp_path / "store").exists()
    with pytest.raises(OnebitError):
        onebit.Learner.create(tmp_path / "no" / "store", model)
    with pytest.raises(OnebitError, match="holds no learner"):
        onebit.Learner.open(tmp_path / "store")


def test_progress_and_a_closed_learner(tmp_path: Path, model: onebit.Model) -> None:
    learner = onebit.Learner.create(tmp_path / "store", model)
    calls: list[tuple[int, int]] = []
    learner.teach(noise_images(1, 130), "fox", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 130) for done in [*range(16, 130, 16), 130]]
    learner.close()
    learner.close()
    with pytest.raises(OnebitError, match="closed"):
        learner.predict(noise_images(1)[0])


@pytest.mark.slow
@pytest.mark.learning
@pytest.mark.parametrize("isa", ["portable", ""])
def test_four_digits_are_learned_and_six_are_kept(
    tmp_path: Path, isa: str, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """A binary backbone that saw 0 to 5, packed; 6 and 7, then 8 and 9 are taught on the device."""
    data = digits(seed)
    old = data.indices(data.train, 0, OLD)
    deploy.export(
        data.net,
        tmp_path / "d.obn",
        data.images[:1],
        classes=[str(j) for j in range(OLD)],
        samples=data.samples,
        mean=[data.mean],
        std=[data.std],
        calibration=data.images[old],
    )
    with onebit.Learner.create(tmp_path / "store", onebit.load(tmp_path / "d.obn", isa=isa), seed=seed) as learner:
        for low in (6, 8):
            taught = data.indices(data.train, low, low + 2)
            learner.teach(data.images[taught].numpy(), [str(int(j)) for j in data.labels[taught]], experience=str(low))

        def accuracy(asked: torch.Tensor) -> float:
            names = np.array([int(name) for name in learner.classes])
            return float(
                (names[learner.scores(data.images[asked].numpy()).argmax(1)] == data.labels[asked].numpy()).mean()
            )

        old_top1, new_top1 = (accuracy(data.indices(data.test, *part)) for part in ((0, OLD), (OLD, 10)))
        record_property("old", old_top1)
        record_property("new", new_top1)
        assert old_top1 >= 0.65
        assert new_top1 >= 0.7
    digest = (tmp_path / "store" / "learner.state").read_bytes()
    assert DIGESTS.setdefault("state", digest) == digest  # the same bytes on every instruction set


DIGESTS: dict[str, bytes] = {}


def test_a_forked_process_may_ask_and_not_change(tmp_path: Path, model: onebit.Model) -> None:
    with onebit.Learner.create(tmp_path / "store", model) as learner:
        answers = state(learner)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:  # such as a worker of multiprocessing
            told = [state(learner) == answers]
            for change in (
                lambda: learner.teach(noise_images(1), "fox"),
                lambda: learner.forget("cat"),
                lambda: learner.rename("cat", "lynx"),
                learner.rollback,
            ):
                try:
                    change()
                    told.append(False)
                except OnebitError as problem:
                    told.append("was opened in another process" in problem.message)
            learner.close()
            os.write(write, repr(told).encode())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert os.read(read, 99) == repr([True] * 5).encode()
        assert learner.teach(noise_images(2), "elk").counted
        with pytest.raises(OnebitError, match="in use by another learner"):
            onebit.Learner.open(tmp_path / "store")  # still locked, though the child has closed
    with onebit.Learner.open(tmp_path / "store") as learner:
        assert set(learner.classes) == {"cat", "dog", "elk"}


def test_names_that_look_the_same_are_one_class(tmp_path: Path, model: onebit.Model) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    with onebit.Learner.create(tmp_path / "store", model) as learner:
        learner.teach(noise_images(1), apart)
        gate = Gate(noise_images(1), [apart] * 12, minimum=0.0)
        taught = learner.teach(noise_images(1) + noise_images(2), [composed] * 12 + [apart] * 12, gate=gate)
        assert taught.new == ()
        assert taught.after is not None
        assert taught.after.all > 0
        assert learner.classes[composed] == 36
        learner.rename(apart, "tea")
        learner.rename("tea", apart)
        learner.forget(apart)
        assert set(learner.classes) == {"cat", "dog"}


def test_a_learner_is_not_copied(tmp_path: Path, model: onebit.Model) -> None:
    with onebit.Learner.create(tmp_path / "store", model) as learner:
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(OnebitError, match="cannot be copied or handed to another process"):
                copied(learner)
