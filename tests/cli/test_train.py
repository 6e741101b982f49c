"""``onebit train`` as users meet it: in a process of its own, stopped in every way."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from onebit.cli import main
from tests.training.recipes import VALUES

COMMAND = [sys.executable, "-c", "import sys; from onebit.cli import main; sys.exit(main())", "train"]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(VALUES))
    return file


def start(words: Sequence[str | Path], **options: Any) -> "subprocess.Popen[str]":
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*COMMAND, *map(str, words)], **{**pipes, **options})


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def test_json(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, record = tmp_path / "out", tmp_path / "record.json"
    words = ["train", str(recipe), "--output", str(out), "--record", str(record), "--json"]
    assert main([*words, "--trainer.max_steps", "4", "--method.init_args.bits", "[3, 3]"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    accuracies, rates = ["best_top1", "last_top1"], ["seconds", "images_per_second"]
    keys = ["checkpoint", *accuracies, "epochs", "steps", *rates, "operations_saved_percent", "skipped"]
    assert list(result) == keys
    assert result["images_per_second"] > 0
    assert result["steps"] == 4
    assert result["checkpoint"] == str(out / "best.ckpt")
    kept = json.loads(record.read_text())
    assert kept["recipe"]["method"]["init_args"] == {"bits": [3, 3], "gradient_bits": 8, "cycles": 2}
    assert {"checkpoint": result["checkpoint"], **kept["result"]} == result


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.yaml"], "nowhere.yaml: no such recipe"),
        (["RECIPE", "--trainer.max_setps", "3"], "--trainer.max_setps"),
        (["RECIPE", "--trainer.max_steps", "many"], "trainer.max_steps"),
        (["RECIPE", "--data.name", "mnits"], "no data set 'mnits' (did you mean mnist?)"),
        (["RECIPE", "--resume", "nowhere.ckpt"], "nowhere.ckpt: no such checkpoint"),
        (["RECIPE", "--record", "nowhere/record.json"], "the folder nowhere does not exist"),
        (["RECIPE", "--trainer.accelerator", "abacus"], "accelerator"),
        (["RECIPE", "--trainer.max_time", "an hour"], "trainer.max_time is an hour (write it as DD:HH:MM:SS)"),
        (["RECIPE", "--data.num_workers=-1"], "data.num_workers is -1 (it must be zero or more)"),
        (["RECIPE", "--seed=-1"], "seed is -1 (it must be zero or more)"),
        (["RECIPE", "--seed", "4294967296"], "seed is 4294967296 (it must be below 2**32)"),
        (["RECIPE", "--data.name", "mnist", "--model.options.in_shape", "[1,28,28]"], "the data set mnist is not in"),
        (["."], ".: Is a directory"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str],
    message: str,
    recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ONEBIT_DATA", str(tmp_path / "no-data"))
    out = tmp_path / "out"
    given = [str(recipe) if word == "RECIPE" else word for word in words]
    assert main(["train", *given, "--output", str(out)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not list(tmp_path.glob("out/*.ckpt"))


@pytest.mark.slow
def test_what_is_there_is_not_replaced(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["train", str(recipe), "--trainer.max_steps", "2"]
    record, first, second = tmp_path / "record.json", str(tmp_path / "first"), str(tmp_path / "second")
    record.write_text("another's")
    assert main([*short, "--output", first, "--record", str(record)]) == 2
    assert "record.json exists already" in capsys.readouterr().err
    assert record.read_text() == "another's"
    assert not Path(first).exists()
    assert main([*short, "--output", first]) == 0
    assert main([*short, "--output", second, "--data.batch_size", "64"]) == 0
    before = (Path(second) / "last.ckpt").read_bytes()
    longer = ["train", str(recipe), "--resume", f"{first}/last.ckpt", "--output", second]
    assert main(longer) == 2
    assert "second holds another run" in capsys.readouterr().err
    assert (Path(second) / "last.ckpt").read_bytes() == before
    assert main([*longer, "--force"]) == 0
    assert yaml.safe_load((Path(second) / "recipe.yaml").read_text())["data"]["batch_size"] == 128


def test_unknown_key_names_the_nearest(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe.write_text(yaml.safe_dump({**VALUES, "optimiser": {"lr": 1}}))
    assert main(["train", str(recipe), "--output", str(tmp_path / "out")]) == 2
    assert "unknown key optimiser (did you mean optimizer?)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_run_goes_on_by_its_own_words(number: signal.Signals, recipe: Path, tmp_path: Path) -> None:
    out, steps = tmp_path / "out", ["--trainer.max_steps", "200", "--trainer.validate_every", "100"]
    process = start([recipe, "--output", out, *steps, "--trainer.checkpoint_seconds", "0.2"])
    wait_for(out / "last.ckpt", process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (2, "")
    said = re.search(r"onebit train: stopped at step (\d+) of 200 \(go on with: onebit (.*)\)$", stderr.strip())
    assert said, stderr
    assert 0 < int(said[1]) < 200
    assert torch.load(out / "last.ckpt", weights_only=True)["onebit"]["step"] == int(said[1])
    assert main(said[2].split()) == 0
    assert main(["train", str(recipe), "--output", str(tmp_path / "whole"), *steps]) == 0
    whole, resumed = weights(tmp_path / "whole" / "last.ckpt"), weights(out / "last.ckpt")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
def test_killed_run_loses_only_the_steps_since_its_checkpoint(recipe: Path, tmp_path: Path) -> None:
    out, steps = tmp_path / "out", ["--trainer.max_steps", "200", "--trainer.validate_every", "100"]
    process = start([recipe, "--output", out, *steps, "--trainer.checkpoint_seconds", "0"])
    wait_for(out / "last.ckpt", process)
    time.sleep(0.5)
    process.kill()
    process.communicate()
    assert torch.load(out / "last.ckpt", weights_only=True)["onebit"]["step"] > 0
    assert main(["train", str(out / "recipe.yaml"), "--output", str(out)]) == 2  # it is not overwritten
    assert main(["train", str(out / "recipe.yaml"), "--output", str(out), "--resume", str(out / "last.ckpt")]) == 0
    assert main(["train", str(recipe), "--output", str(tmp_path / "whole"), *steps]) == 0
    whole, resumed = weights(tmp_path / "whole" / "last.ckpt"), weights(out / "last.ckpt")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
def test_full_disk_leaves_the_old_checkpoint(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["train", str(recipe), "--output", str(out), "--trainer.max_steps", "4"]) == 0
    before = (out / "last.ckpt").read_bytes()
    limit = len(before) // 2

    def fill_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    words = [recipe, "--output", out, "--resume", out / "last.ckpt", "--trainer.max_steps", "40"]
    process = start(words, preexec_fn=fill_disk, env={**os.environ, "MPLCONFIGDIR": str(tmp_path)})
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (2, "")
    (line,) = [line for line in stderr.splitlines() if line.startswith("onebit train:")]
    assert "File too large" in line
    assert "Traceback" not in stderr
    assert (out / "last.ckpt").read_bytes() == before
    assert not list(out.glob(".*.part"))


@pytest.mark.slow
def test_the_threads_of_pytorch_are_told_not_to_spin_before_it_is_imported() -> None:
    """libgomp reads the variable once, when it is loaded."""
    code = """
import os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            print("torch sees", os.environ.get("GOMP_SPINCOUNT"), file=sys.stderr)
sys.meta_path.insert(0, Watch())
from onebit.cli import main
main(["train", "no-such.yaml"])
"""
    for given, seen in ((None, "1000"), ("7", "7")):
        environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
        environment |= {"GOMP_SPINCOUNT": given} if given else {}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.stderr.splitlines()[0] == f"torch sees {seen}", done.stderr
