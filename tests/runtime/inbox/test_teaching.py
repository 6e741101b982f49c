"""Lessons from a folder, as a Python user calls them."""

import shutil
from pathlib import Path

import pytest

import onebit
from onebit import OnebitError
from onebit.runtime.inbox import teach_arrivals
from onebit.runtime.learner import Gate


def test_each_image_is_taught_once(digits_model: Path, digit_folder: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    shutil.copytree(digit_folder / "6", inbox / "6")
    (inbox / "6" / "half.png").write_bytes(b"\x89PNG and no more")
    skipped: list[str] = []
    with onebit.Learner.create(tmp_path / "store", onebit.load(digits_model)) as learner:
        experiences = teach_arrivals(
            learner, inbox, rest=0.1, until_idle=5, skipped=lambda path, reason: skipped.append(path.name), steps=1
        )
        first = next(experiences)
        assert (first.samples, first.new, skipped) == (8, ("6",), ["half.png"])
        shutil.copytree(digit_folder / "7", inbox / "7")
        assert next(experiences).new == ("7",)
        experiences.close()
        with pytest.warns(UserWarning, match=r"half\.png: .*; passed over until it changes"):
            assert list(teach_arrivals(learner, inbox, rest=0.1, until_idle=0.5)) == []
        assert learner.classes["6"] == learner.classes["7"] == 8


def test_a_refused_experience_is_said_and_not_tried_again(
    digits_model: Path, digit_folder: Path, tmp_path: Path
) -> None:
    one = next((digit_folder / "9").iterdir())
    gate = Gate([one], ["another"], minimum=1)  # no answer is right
    options = {"rest": 0.1, "until_idle": 0.5, "gate": gate, "steps": 1}
    with onebit.Learner.create(tmp_path / "store", onebit.load(digits_model)) as learner:
        assert [taught.refused for taught in teach_arrivals(learner, digit_folder / "9", "nine", **options)] == [True]
        assert list(teach_arrivals(learner, digit_folder / "9", "nine", **options)) == []
        assert "nine" not in learner.classes


def test_a_missing_folder_is_said_at_once(digits_model: Path, tmp_path: Path) -> None:
    with onebit.Learner.create(tmp_path / "store", onebit.load(digits_model)) as learner:
        with pytest.raises(OnebitError, match="no folder"):
            teach_arrivals(learner, tmp_path / "nowhere")
        with pytest.raises(OnebitError, match="rests for -1"):
            teach_arrivals(learner, tmp_path, rest=-1)
