"""The state file from outside: killed while teaching, damaged, hostile."""

import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import onebit
from onebit import OnebitError
from tests.runtime.packed import write_backbone

TEACHER = """
import sys
import numpy as np
import onebit

with onebit.Learner.open(sys.argv[1]) as learner:
    start = sum(learner.classes.values())
    for i in range(int(sys.argv[2]), 100000):
        images = np.random.default_rng(i).standard_normal((4, 6, 1, 1)).astype(np.float32)
        learner.teach(images, ["a", "b", "c", "d"], experience=str(i), steps=3)
        print(i, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = write_backbone(tmp_path / "m.obn", np.eye(2, 6), None, (-3, 3), ["a", "b"], [5, 5])
    onebit.Learner.create(tmp_path / "store", onebit.load(path), max_classes=4, max_experiences=4096).close()
    return tmp_path / "store"


def answers(learner: onebit.Learner) -> bytes:
    return learner.scores(np.random.default_rng(0).standard_normal((50, 6, 1, 1)).astype(np.float32)).tobytes()


@pytest.mark.slow
def test_kill_while_teaching_loses_at_most_what_was_not_committed(store: Path, tmp_path: Path) -> None:
    """After each kill -9 the state is that of the last experience said to be done, or of the next."""
    rng = np.random.default_rng(0)
    first = 0
    for _ in range(8):
        teacher = subprocess.Popen(
            [sys.executable, "-c", TEACHER, str(store), str(first)], stdout=subprocess.PIPE, text=True
        )
        assert teacher.stdout is not None
        done = int(teacher.stdout.readline())
        time.sleep(float(rng.random()) * 0.05)
        teacher.send_signal(signal.SIGKILL)
        rest = teacher.stdout.read().split()
        teacher.wait()
        done = int(rest[-1]) if rest else done
        with onebit.Learner.open(store) as learner:
            report = learner.check()
            assert report["damaged"] == 0
            assert report["experiences"] in (done + 1, done + 2)
            assert learner.classes["c"] == report["experiences"]
            first = report["experiences"]
    # The same experiences without any kill give the same answers.
    onebit.Learner.create(
        tmp_path / "calm", onebit.load(store / "model.obn"), max_classes=4, max_experiences=4096
    ).close()
    with onebit.Learner.open(tmp_path / "calm") as calm, onebit.Learner.open(store) as killed:
        for i in range(first):
            images = np.random.default_rng(i).standard_normal((4, 6, 1, 1)).astype(np.float32)
            calm.teach(images, ["a", "b", "c", "d"], experience=str(i), steps=3)
        assert answers(calm) == answers(killed)


def test_a_corrupted_byte_is_noticed(store: Path) -> None:
    with onebit.Learner.open(store) as learner:
        for i in range(3):
            learner.teach(np.full((2, 6, 1, 1), i, np.float32), "c", experience=str(i))
    file = store / "learner.state"
    good = file.read_bytes()
    written = [at for at in range(len(good)) if good[at]]  # never-written slots are nothing to lose
    rng = np.random.default_rng(0)
    for at in rng.choice(written, 150):
        file.write_bytes(good[:at] + bytes([good[at] ^ int(rng.integers(1, 256))]) + good[at + 1 :])
        noticed = False
        try:
            with warnings.catch_warnings(record=True) as said, onebit.Learner.open(store) as learner:
                noticed = any("damaged" in str(warning.message) for warning in said)
                assert learner.classes["c"] >= 4
        except OnebitError as problem:
            noticed = "damaged" in str(problem) or "not a learner" in str(problem)
        assert noticed, at


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 5000, 12288])
def test_a_truncated_file_is_one_clear_line(store: Path, size: int) -> None:
    file = store / "learner.state"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(OnebitError):
        onebit.Learner.open(store)


def test_noise_is_refused(store: Path) -> None:
    file = store / "learner.state"
    file.write_bytes(np.random.default_rng(0).bytes(file.stat().st_size))
    with pytest.raises(OnebitError, match="not a learner"):
        onebit.Learner.open(store)
