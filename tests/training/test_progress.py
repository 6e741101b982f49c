"""Images a second and the time left, with accumulation, after a resume and over validations."""

import re
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from onebit.training import fit
from onebit.training.history import History
from onebit.training.progress import ProgressLines, line
from tests.training.recipes import tiny


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that everything sees."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def begin(history: History, step: int) -> None:
    history.begin(step, nn.Identity(), torch.device("cpu"))


def take(history: History, batches: int) -> None:
    """Batches between two steps, of 32 images each."""
    for _ in range(batches):
        history.add_batch(32, torch.zeros(()))


def test_validation_does_not_count_and_a_resumed_run_goes_on(clock: list[float]) -> None:
    history = History(steps=100, steps_per_epoch=10.0, rule=None)
    clock[0] = 50.0
    begin(history, 0)
    take(history, 6)
    clock[0] = 54.0
    assert history.images_per_second == 6 * 32 / 4
    assert history.seconds_left(10) == 90 * 4 / 10
    with history.validation():
        clock[0] = 60.0
    clock[0] = 62.0
    take(history, 3)
    assert history.images_per_second == 9 * 32 / 6
    assert history.seconds_left(20) == 80 * 12 / 20, "validations will come again"
    resumed = History(steps=100, steps_per_epoch=10.0, rule=None)
    resumed.load_state_dict(history.state_dict())
    clock[0] = 1000.0
    begin(resumed, 20)
    take(resumed, 3)
    clock[0] = 1002.0
    assert resumed.images_per_second == 12 * 32 / 8
    assert resumed.seconds_left(24) == 76 * 2 / 4, "of this session's pace"
    assert resumed.seconds == 12 + 2


def test_a_run_of_an_older_version_is_counted_from_its_resume_on(clock: list[float]) -> None:
    history = History(steps=100, steps_per_epoch=10.0, rule=None)
    state = {key: value for key, value in history.state_dict().items() if key not in ("images", "training_seconds")}
    history.load_state_dict({**state, "seconds": 77.0})
    begin(history, 10)
    take(history, 1)
    clock[0] = 2.0
    assert history.images_per_second == 16


def test_a_line_now_and_then(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    history = History(steps=100, steps_per_epoch=10.0, rule=None)
    begin(history, 0)
    history.validations.append({"top1": 0.452})
    lines = ProgressLines(history, seconds=10.0)
    for step in range(1, 101):
        clock[0] += 1.0
        take(history, 1)
        lines.step(step)
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 9, "not after the last step"
    assert printed[0] == "step 10 of 100: top-1 45.2%, 32 images/s, 0:01:30 left"


def test_before_the_first_step_no_time_is_promised(clock: list[float]) -> None:
    history = History(steps=100, steps_per_epoch=10.0, rule=None)
    clock[0] = 1.0
    assert line(history, 0) == "step 0 of 100: 0 images/s"


def test_a_run_says_its_speed(tmp_path: Path) -> None:
    recipe = tiny(optimizer={"accumulate": 2}, trainer={"max_steps": 4, "validate_every": 2})
    began = time.monotonic()
    result = fit(recipe, tmp_path, progress=False)
    images = 4 * 2 * recipe.data.batch_size
    assert images / (time.monotonic() - began) < result["images_per_second"]
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["History"]
    assert state["images"] == images
    assert state["training_seconds"] < state["seconds"]
    assert re.search(r'"images_per_second": \d', (tmp_path / "record.json").read_text())
