"""The demo, once, as the README runs it: every promise that its table makes."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from onebit import cli
from onebit.cli import demo
from tests.cli.checkpoints import write_checkpoint

KEYS = [
    "float_top1",
    "binary_top1",
    "packed_top1",
    "packed_equals_torch",
    "model_bytes",
    "float_bytes",
    "median_ms",
    "operations_saved_percent",
    "learned_classes",
    "old_top1",
    "new_top1",
    "naive_old_top1",
    "survived_power_cut",
    "seconds",
]


@pytest.mark.slow
@pytest.mark.learning
def test_the_demo_keeps_its_promises(
    capsys: pytest.CaptureFixture[str], seed: int, record_property: Callable[[str, object], None]
) -> None:
    assert cli.main(["demo", "--seed", str(seed), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == KEYS
    for key in ("binary_top1", "old_top1", "new_top1"):
        record_property(key, result[key])
    record_property("old_top1, more than naive", result["old_top1"] - result["naive_old_top1"])
    assert result["binary_top1"] >= 0.96
    assert result["packed_top1"] == pytest.approx(result["binary_top1"], abs=1e-6)  # one is a mean in float32
    assert result["packed_equals_torch"]
    assert result["model_bytes"] < result["float_bytes"] / 8
    assert result["learned_classes"] == ["6", "7", "8", "9"]
    assert min(result["old_top1"], result["new_top1"]) >= 0.7
    assert result["naive_old_top1"] < result["old_top1"]
    assert result["survived_power_cut"]


def test_it_exports_and_times_with_the_options_that_the_commands_have(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "last.ckpt")
    packed = demo._export(tmp_path, tmp_path / "m.obn")
    assert demo._command("bench", packed)["threads"] == 1


def test_a_kept_folder_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--keep", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.slow
def test_interrupted_it_leaves_nothing_and_does_not_say_to_resume(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    words = [sys.executable, "-m", "onebit", "demo", "--keep", str(keep)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".kept.*/float/recipe.yaml")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (2, "")
    assert re.fullmatch(
        r"onebit demo: the demo was stopped at step \d+ of \d+ \(run it again\)", stderr.splitlines()[-1]
    )
    assert list(tmp_path.iterdir()) == []
