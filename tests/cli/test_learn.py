"""``onebit learn`` from end to end, and what it refuses."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import onebit
from onebit import cli
from tests.cli.checkpoints import write_checkpoint


@pytest.fixture
def store(tmp_path: Path, digits_model: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["learn", "new", str(tmp_path / "store"), str(digits_model)]) == 0
    capsys.readouterr()
    return str(tmp_path / "store")


def learn(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert cli.main(["learn", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_life_of_a_learner(store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = learn(capsys, "show", store)
    assert {"classes", "commits", "bytes", "backbone", "replay"} <= set(shown)
    assert shown["classes"] == [{"name": str(i), "samples": 100} for i in range(6)]
    assert len(shown["backbone"]) == 64

    taught = learn(capsys, "teach", store, str(digit_folder), "--experience", "monday")
    assert taught["counted"]
    assert taught["new"] == ["6", "7", "8", "9"]
    assert taught["commits"] == 1
    assert taught["bytes"] == shown["bytes"] == (Path(store) / "learner.state").stat().st_size
    assert not learn(capsys, "teach", store, str(digit_folder), "--experience", "monday")["counted"]

    one = str(next((digit_folder / "6").iterdir()))
    assert learn(capsys, "teach", store, one, "--name", "mine")["new"] == ["mine"]
    assert learn(capsys, "rollback", store)["classes"] == taught["classes"]
    assert "9" not in [row["name"] for row in learn(capsys, "forget", store, "9", "--yes")["classes"]]
    assert learn(capsys, "check", store)["unfinished"] == 0
    with onebit.Learner.open(store) as learner:
        assert learner.classes["6"] == 8


def test_forgetting_says_what_is_lost_and_asks(
    store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(capsys, "teach", store, str(digit_folder))
    before = (Path(store) / "learner.state").read_bytes()
    assert cli.main(["learn", "forget", store, "7"]) == 2
    lost = "forgetting 7 loses what 8 images taught, and the 1 commits to go back to"
    assert f"{lost} (add --yes" in capsys.readouterr().err
    for answer, code in (("\n", 2), ("n\n", 2), ("y\n", 0)):
        assert (Path(store) / "learner.state").read_bytes() == before
        monkeypatch.setattr(sys, "stdin", terminal := io.StringIO(answer))
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        assert cli.main(["learn", "forget", store, "7"]) == code
        assert f"{lost}; go on? [y/N]" in capsys.readouterr().err
    with onebit.Learner.open(store) as learner:
        assert "7" not in learner.classes


def test_a_taught_learner_is_asked(store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learn(capsys, "teach", store, str(digit_folder))
    asked = str(digit_folder / "7")
    result = learn(capsys, "ask", store, asked)
    with onebit.Learner.open(store) as learner:
        assert [row["label"] for row in result["images"]] == [
            learner.predict(row["path"]).label for row in result["images"]
        ]
    assert len(result["images"]) == 8
    assert cli.main(["run", store, asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result
    assert cli.main(["learn", "ask", store, asked]) == 0
    assert "0.png" in capsys.readouterr().out


def test_a_person_sees_the_classes(store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["learn", "teach", store, str(digit_folder)]) == 0
    printed = capsys.readouterr().out
    assert "learned from 32 images" in printed
    assert cli.main(["learn", "teach", store, str(digit_folder)]) == 0
    assert "counted before" in capsys.readouterr().out
    assert cli.main(["learn", "check", store]) == 0
    assert "every byte checked" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["show", "nowhere"],
        ["teach", "STORE"],
        ["teach", "STORE", "nowhere"],
        ["teach", "STORE", "EMPTY"],
        ["teach", "STORE", "EMPTY", "--name", "x"],
        ["teach", "STORE", "BAD"],
        ["teach", "STORE", "a.png", "b.png"],
        ["new", "STORE", "MODEL"],
        ["new", "other"],
        ["new", "other", "missing.obn"],
        ["forget", "STORE", "nobody"],
        ["forget", "STORE"],
        ["rollback", "STORE"],
        ["rollback", "STORE", "--commits", "0"],
        ["show", "STORE", "more"],
        ["rename", "STORE", "0"],
        ["rename", "STORE", "nobody", "x"],
        ["rename", "STORE", "0", "1"],
        ["teach", "STORE", "IMAGES", "--hold-out", "2"],
        ["teach", "STORE", "IMAGES", "--hold-out", "0.2", "--test", "IMAGES"],
        ["teach", "STORE", "IMAGES", "--gate", "0.5"],
        ["teach", "STORE", "IMAGES", "--hold-out", "0.2", "--gate", "never"],
        ["teach", "STORE", "IMAGES", "--hold-out", "0.2", "--gate", "1.5"],
        ["teach", "STORE", "IMAGES", "--test", "nowhere"],
    ],
)
def test_mistakes_are_one_line_and_exit_2(
    words: list[str],
    store: str,
    digits_model: Path,
    digit_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad" / "kind").mkdir(parents=True)
    (tmp_path / "bad" / "kind" / "broken.png").write_bytes(b"\x89PNG and no more")
    places = {
        "IMAGES": digit_folder,
        "STORE": store,
        "EMPTY": tmp_path / "empty",
        "BAD": tmp_path / "bad",
        "MODEL": digits_model,
    }
    before = (Path(store) / "learner.state").read_bytes()
    assert cli.main(["learn", *(str(places.get(word, word)) for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert (Path(store) / "learner.state").read_bytes() == before


def test_a_damaged_newest_commit_is_said(store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learn(capsys, "teach", store, str(digit_folder))
    file = Path(store) / "learner.state"
    content = bytearray(file.read_bytes())
    at = content.rindex(b"9" + bytes(63))
    content[at] ^= 1
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        assert cli.main(["learn", "check", store]) == 2
    assert "damaged" in capsys.readouterr().err


def test_a_folder_with_anything_in_it_is_not_taken(
    tmp_path: Path, digits_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.obn").write_bytes(b"mine")
    assert cli.main(["learn", "new", str(tmp_path), str(digits_model)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_a_second_command_on_the_same_store_says_so(
    store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with onebit.Learner.open(store):
        assert cli.main(["learn", "teach", store, str(digit_folder)]) == 2
    assert "in use by another learner" in capsys.readouterr().err
    assert learn(capsys, "show", store)["experiences"] == 0


@pytest.mark.slow
def test_of_many_at_once_one_makes_the_store(tmp_path: Path, digits_model: Path) -> None:
    words = [sys.executable, "-m", "onebit", "learn", "new", str(tmp_path / "store"), str(digits_model)]
    commands = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [command.communicate(timeout=60)[1].splitlines() for command in commands]
    assert sorted(command.returncode for command in commands) == [0, 2, 2, 2]
    assert sorted(map(len, said)) == [0, 1, 1, 1]
    with onebit.Learner.open(tmp_path / "store") as learner:
        assert len(learner.classes) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_class_folder_without_images_is_refused(
    store: str, digit_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    shutil.copytree(digit_folder, images)
    (images / ".hidden").mkdir()
    (images / "nothing").mkdir()
    assert cli.main(["learn", "teach", store, str(images)]) == 2
    assert "nothing holds no image" in capsys.readouterr().err
    (images / "nothing").rmdir()
    assert learn(capsys, "teach", store, str(images))["samples"] == 32


def test_names_are_shown_as_they_are(store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i, name in enumerate(("[red]", ":smile:", "six six", "日本", "[/]")):
        assert cli.main(["learn", "teach", store, str(digit_folder / "6" / f"{i}.png"), "--name", name]) == 0
        captured = capsys.readouterr()
        assert f"│ {name} " in captured.out
        assert captured.err == "", "no bar where there is no terminal"


def test_a_list_and_another_name(
    store: str, digit_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{path},{'six' if path.parent.name == '6' else 'seven'}" for path in digit_folder.glob("[67]/*.png")]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    taught = learn(capsys, "teach", store, str(tmp_path / "list.csv"))
    assert sorted(taught["new"]) == ["seven", "six"]
    renamed = learn(capsys, "rename", store, "seven", "7")
    assert {"name": "7", "samples": 8} in renamed["classes"]
    assert renamed["commits"] == 2
    assert learn(capsys, "rollback", store)["classes"] == taught["classes"]
    (tmp_path / "list.csv").write_text("\n".join([*lines, "gone.png,six"]))
    assert cli.main(["learn", "teach", store, str(tmp_path / "list.csv")]) == 2
    assert "list.csv, line 17: there is no file" in capsys.readouterr().err


def test_what_an_experience_changed(store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taught = learn(capsys, "teach", store, str(digit_folder), "--hold-out", "0.25")
    assert taught["samples"] == 24
    assert taught["before"] == {"all": 0.0, "old": None, "new": 0.0}
    with onebit.Learner.open(store) as learner:
        paths = [path for kind in sorted(digit_folder.iterdir()) for path in sorted(kind.iterdir())]
        right = [learner.predict(path).label == path.parent.name for path in paths]
    assert 0 < taught["after"]["all"] == taught["after"]["new"] <= 1
    assert abs(taught["after"]["all"] * 8 - round(taught["after"]["all"] * 8)) < 1e-9  # of eight images
    assert sum(right) >= 8 * taught["after"]["all"]
    assert taught["operations"]["update"] == 250 * 24 * 2 * 10 * 96  # images of all steps, both ways, classes, features
    assert set(taught["milliseconds"]) == {"features", "update", "commit"}
    assert cli.main(["learn", "teach", store, str(digit_folder), "--test", str(digit_folder)]) == 0
    printed = capsys.readouterr().out
    assert "held-out images right: " in printed
    assert "of classes known before " in printed
    assert "of new ones" not in printed
    assert "million multiply-accumulates" in printed


def test_a_gate_refuses(store: str, digit_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (Path(store) / "learner.state").read_bytes()
    words = ["teach", store, str(digit_folder / "6"), "--name", "6", "--test", str(digit_folder)]
    assert cli.main(["learn", *words, "--gate", "0.9", "--json"]) == 3
    refused = json.loads(capsys.readouterr().out)
    assert refused["refused"]
    assert not refused["counted"]
    assert refused["after"]["all"] < 0.9
    assert (Path(store) / "learner.state").read_bytes() == before
    assert cli.main(["learn", *words, "--gate", "0.9"]) == 3
    assert "refused by the gate: nothing was changed" in capsys.readouterr().out
    assert learn(capsys, *words, "--gate", "before")["counted"]


def test_a_tail_keeps_samples_and_forgets_them(
    tmp_path: Path, digit_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = write_checkpoint(tmp_path / "best.ckpt", latent_sign="blocks.1")
    model, store = str(tmp_path / "m.obn"), str(tmp_path / "store")
    assert cli.main(["export", str(checkpoint), "--teachable", "-o", model, "--replay", "30"]) == 0
    capsys.readouterr()
    assert learn(capsys, "new", store, model, "--replay", "40")["replay"] == 30
    taught = learn(capsys, "teach", store, str(digit_folder), "--hold-out", "0.25", "--gate", "before", "--epochs", "2")
    assert taught["counted"]
    assert taught["replay"] == 40
    assert taught["operations"]["update"] > 0
    kept = taught["replay"]
    for name in ("6", "7", "8", "9"):
        shown = learn(capsys, "forget", store, name, "--yes")
        assert shown["replay"] < kept
        kept = shown["replay"]
    assert shown["commits"] == 0
    assert [row["name"] for row in shown["classes"]] == [str(i) for i in range(6)]
