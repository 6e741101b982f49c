"""onebit run and doctor: what they print, and what they refuse."""

import json
import os

import numpy as np
import pytest
from PIL import Image

import onebit
from onebit import _engine, cli
from tests.cli.calls import call, fails
from tests.runtime.samples import CLASSES, classifier


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "m.obn").write_bytes(classifier().to_bytes())
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    return tmp_path


def test_run_answers_as_predict(folder, capsys):
    paths = [str(folder / f"{i}.png") for i in range(3)]
    result = call(capsys, "run", folder / "m.obn", *paths)
    model = onebit.load(folder / "m.obn")
    assert set(result) == {"images", "unread"}
    assert result["unread"] == []
    assert [image["path"] for image in result["images"]] == paths
    for image in result["images"]:
        answer = model.predict(image["path"])
        assert set(image) == {"path", "label", "index", "score", "scores"}
        assert (image["label"], image["index"]) == (CLASSES[answer.index], answer.index)
        assert image["score"] == answer.score == max(image["scores"])


def test_run_shows_class_names_as_they_are(folder, capsys):
    assert cli.main(["run", str(folder / "m.obn"), str(folder / "0.png")]) == 0
    label = onebit.load(folder / "m.obn").predict(folder / "0.png").label
    assert label in capsys.readouterr().out


def test_run_refuses(folder, capsys):
    model, image = folder / "m.obn", folder / "0.png"
    (folder / "broken.png").write_bytes(image.read_bytes()[:100])
    (folder / "broken.obn").write_bytes(model.read_bytes()[:-5])
    assert "broken.png: not an image" in fails(capsys, "run", model, folder / "broken.png")
    assert "missing.png: No such file" in fails(capsys, "run", model, folder / "missing.png")
    assert "broken.obn: truncated" in fails(capsys, "run", folder / "broken.obn", image)
    assert "not an .obn file" in fails(capsys, "run", image, image)
    assert "instruction set 'abacus'" in fails(capsys, "run", model, image, "--isa", "abacus")
    assert "threads" in fails(capsys, "run", model, image, "--threads", "0")


def test_one_unreadable_image_does_not_cost_the_others(folder, capsys):
    image = folder / "0.png"
    (folder / "broken.png").write_bytes(image.read_bytes()[:100])
    for words in ([image, folder / "broken.png", folder / "1.png"], [folder]):
        assert cli.main(["run", str(folder / "m.obn"), *map(str, words), "--json"]) == 2
        printed = capsys.readouterr()
        result = json.loads(printed.out)
        assert [row["path"] for row in result["unread"]] == [str(folder / "broken.png")]
        assert "broken.png: not an image" in printed.err
        assert {"0.png", "1.png"} <= {os.path.basename(row["path"]) for row in result["images"]}
    (folder / "empty").mkdir()
    assert "there is no image in" in fails(capsys, "run", folder / "m.obn", folder / "empty")


def test_doctor(capsys, monkeypatch):
    monkeypatch.delenv("ONEBIT_ISA", raising=False)
    result = call(capsys, "doctor")
    assert set(result) == {"version", "isa", "cpu_features", "threads", "data"}
    assert result["version"] == onebit.__version__
    assert result["isa"] == _engine.isas()[0]
    assert 1 <= result["threads"] <= (os.cpu_count() or 1)
    monkeypatch.setenv("ONEBIT_ISA", "reference")
    assert call(capsys, "doctor")["isa"] == "reference"
    monkeypatch.setenv("ONEBIT_ISA", "abacus")
    assert "abacus" in fails(capsys, "doctor")


def test_doctor_says_where_data_is(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("ONEBIT_DATA", str(tmp_path))
    assert call(capsys, "doctor")["data"] == str(tmp_path)
    assert cli.main(["doctor"]) == 0
    assert "instruction set" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "oversized", "folder", "missing"])
@pytest.mark.parametrize("command", ["run", "bench", "inspect", "evaluate", "learn"])
def test_a_damaged_model_is_refused_by_every_command(command, damage, folder, capsys):
    content = bytearray((folder / "m.obn").read_bytes())
    content[len(content) // 2] ^= 1 if damage == "flipped" else 0
    bad = folder / "bad.obn"
    if damage == "folder":
        bad.mkdir()
    elif damage != "missing":
        whole = {"empty": b"", "truncated": content[:-9], "oversized": content + bytes(1000)}
        bad.write_bytes(whole.get(damage, content))
    words = {"run": [bad, folder / "0.png"], "learn": ["new", folder / "store", bad]}
    assert "bad.obn: " in fails(capsys, command, *words.get(command, [bad]))
    assert not (folder / "store").exists()


def test_run_on_hundreds_of_images_and_names_of_all_kinds(folder, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)  # as in a pipe: lines of any length
    names = ["[red]a[/].png", ":smile:.png", "déjà vu 日本.png", "-dash.png", "x" * 150 + ".png"]
    (folder / "[red]a[").mkdir()
    for name in names:
        (folder / name).write_bytes((folder / "0.png").read_bytes())
    paths = [*(folder / name for name in names), *[folder / "0.png"] * 300]
    assert cli.main(["run", str(folder / "m.obn"), *map(str, paths)]) == 0
    captured = capsys.readouterr()
    assert captured.err == "", "no bar where there is no terminal"
    assert captured.out.count("0.png") == 300
    assert all(str(folder / name) in captured.out for name in names[:4])
    assert len({tuple(image["scores"]) for image in call(capsys, "run", folder / "m.obn", *paths)["images"]}) == 1
