"""``onebit learn watch`` on a folder that is really written to, by another process and with kill -9."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import onebit
from onebit import cli


@pytest.fixture
def store(tmp_path: Path, digits_model: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["learn", "new", str(tmp_path / "store"), str(digits_model)]) == 0
    capsys.readouterr()
    return str(tmp_path / "store")


def watch(store: str, inbox: Path, *words: str) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "onebit",
        "learn",
        "watch",
        store,
        str(inbox),
        "--rest",
        "0.2",
        "--json",
    ]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, *words], preexec_fn=heeds_ctrl_c, **pipes)


def heeds_ctrl_c() -> None:
    """What a shell starts in the background inherits that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ended(child: "subprocess.Popen[str]") -> tuple[dict[str, Any], str]:
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    return json.loads(out), err


def said(child: "subprocess.Popen[str]") -> str:
    assert child.stderr is not None
    return child.stderr.readline()


@pytest.mark.slow
def test_what_arrives_is_taught_once(store: str, digit_folder: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "6").mkdir(parents=True)
    child = watch(store, inbox, "--until-idle", "60")
    assert said(child) == f"watching {inbox}; Ctrl-C ends\n"
    shutil.copytree(digit_folder / "6", inbox / "6", dirs_exist_ok=True)
    assert "8 images learned, new: 6" in said(child)
    shutil.copytree(digit_folder / "7", inbox / "7")
    (inbox / "6" / "again.png").write_bytes(next((digit_folder / "6").iterdir()).read_bytes())  # the same image
    (inbox / "7" / "half.png").write_bytes(next((digit_folder / "7").iterdir()).read_bytes()[:60])
    lines = sorted([said(child), said(child)])
    assert "8 images learned, new: 7" in lines[0] or "8 images learned, new: 7" in lines[1]
    assert any("half.png" in line and "passed over until it changes" in line for line in lines)
    whole = sorted((digit_folder / "8").iterdir())[0]
    shutil.copy(whole, inbox / "7" / "half.png")  # and now it is whole
    assert "1 images learned" in said(child)
    child.send_signal(signal.SIGINT)
    result, _ = ended(child)
    assert result["lessons"] == 3
    assert result["samples"] == 17
    assert result["new"] == ["6", "7"]

    # Another watch of the same folder finds nothing new, whatever the batches would be.
    again, err = ended(watch(store, inbox, "--until-idle", "1"))
    assert (again["lessons"], again["samples"], again["experiences"]) == (0, 0, 3)
    assert err == f"watching {inbox}; Ctrl-C ends\n"


@pytest.mark.slow
def test_a_watch_that_is_killed_teaches_nothing_twice(store: str, digit_folder: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    images = sorted(digit_folder.glob("*/*.png"))
    state = Path(store) / "learner.state"
    for i, image in enumerate(images):
        place = inbox / image.parent.name / image.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(image, place)
        if i % 8 != 7:
            continue
        before = state.read_bytes()
        child = watch(store, inbox)
        begun = time.monotonic()
        while state.read_bytes() == before and time.monotonic() - begun < 60 and child.poll() is None:
            time.sleep(0.001)
        child.kill()  # in the middle of a commit, or just after it
        child.communicate()
    result, _ = ended(watch(store, inbox, "--until-idle", "1"))
    with onebit.Learner.open(store) as learner:
        samples = sum(learner.classes[name] for name in ("6", "7", "8", "9"))
    assert samples == len(images)
    assert result["experiences"] <= len(images) // 8


def test_one_class_and_a_time_limit(store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for image in (digit_folder / "6").iterdir():
        os.utime(image, (1, 1))
    words = [
        "learn",
        "teach",
        store,
        "--watch",
        str(digit_folder / "6"),
        "--name",
        "six",
        "--for",
        "1",
        "--rest",
        "0.1",
    ]
    assert cli.main(words) == 0
    printed = capsys.readouterr()
    assert "1 experiences learned from 8 images" in printed.out
    assert "8 images learned, new: six" in printed.err


def test_the_gate_holds_while_watching(store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing answers all of the images of four new classes after one image of another."""
    words = ["learn", "teach", store, "--watch", str(digit_folder), "--rest", "0.1", "--until-idle", "0.5", "--json"]
    gate = ["--test", str(digit_folder), "--gate", "1", "--steps", "1"]
    assert cli.main([*words, *gate]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["refused"], result["lessons"], result["experiences"]) == (1, 0, 0)
    assert cli.main([*words, *gate]) == 0  # it is not tried again
    assert json.loads(capsys.readouterr().out)["refused"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["nowhere"],
        ["INBOX", "more"],
        ["INBOX", "--hold-out", "0.2"],
        ["INBOX", "--gate", "0.5"],
        ["INBOX", "--rest", "-1"],
    ],
)
def test_mistakes(words: list[str], store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["watch", store, *words], tmp_path, capsys)


@pytest.mark.parametrize(
    "words",
    [
        ["--watch", "nowhere"],
        ["--watch", "INBOX", "more"],
        ["--watch", "INBOX", "--hold-out", "0.2"],
        ["--watch", "INBOX", "--experience", "x"],
        ["--watch", "INBOX", "--gate", "0.5"],
        ["--watch", "INBOX", "--rest", "-1"],
        ["INBOX", "--for", "3"],
        ["INBOX", "--until-idle", "3"],
    ],
)
def test_mistakes_with_teach(words: list[str], store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["teach", store, *words], tmp_path, capsys)


def refused(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inbox").mkdir()
    assert cli.main(["learn", *(word.replace("INBOX", str(tmp_path / "inbox")) for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
