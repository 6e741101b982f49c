"""``onebit train``, ``evaluate``, ``export`` and ``data`` on images that stay in their files."""

import json
from pathlib import Path

import pytest
import yaml

from onebit.cli import main
from tests.jpegs import shards, tree


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tree(tmp_path / "imagenet")


def recipe(place: Path, on_corrupt: str, name: str = "imagenet") -> str:
    values = {
        "model": {"name": "small", "options": {"width": 8, "in_shape": [3, 16, 16]}},
        "data": {
            "name": name,
            "options": {"path": str(place), "size": 16, "on_corrupt": on_corrupt},
            "batch_size": 6,
            "augment": "reactnet",
        },
        "trainer": {"max_epochs": 1, "threads": 1, "accelerator": "cpu"},
    }
    file = place.parent / f"{on_corrupt}.yaml"
    file.write_text(yaml.safe_dump(values))
    return str(file)


@pytest.mark.slow
def test_a_damaged_image_is_one_line_or_counted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = [sorted(place.glob(f"{part}/*/*"))[5] for part in ("train", "val")]
    for file in damaged:
        file.write_bytes(file.read_bytes()[:200])
    out = place.parent / "out"
    assert main(["train", recipe(place, "error"), "--output", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"onebit train: {damaged[0]}: not an image, or a damaged one: ")
    assert line.endswith("(replace it, or leave out such files with data.options.on_corrupt skip)")

    assert main(["train", recipe(place, "skip"), "--output", str(out), "--force", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["skipped"]) == set(map(str, damaged))
    assert json.loads((out / "record.json").read_text())["result"]["skipped"] == result["skipped"]
    assert main(["evaluate", result["checkpoint"], "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert (measured["images"], list(measured["skipped"])) == (9, [str(damaged[1])])
    assert measured["top1"] == pytest.approx(result["best_top1"], abs=1e-6)
    assert main(["evaluate", result["checkpoint"]]) == 0
    assert f"1 damaged images or shards were left out: {damaged[1]}" in capsys.readouterr().out.replace("\n", "")
    assert main(["export", result["checkpoint"], "-o", str(out / "m.obn")]) == 0
    assert main(["evaluate", str(out / "m.obn"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["images"] == 9


def test_shards_are_listed_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = shards(tmp_path / "imagenet-shards")
    assert main(["data", "list", "imagenet_shards", "--root", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["data_sets"]
    assert (row["state"], row["folder"], len(row["classes"])) == ("ready", str(place), 3)
    assert main(["data", "check", "imagenet_shards", "--root", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["data_sets"]
    assert (row["state"], row["train"], row["test"]) == ("checked", 36, 10)
    (place / "train-000000.tar").write_bytes(b"no tar")
    assert main(["data", "check", "imagenet_shards", "--root", str(tmp_path)]) == 2
    assert f"{place / 'train-000000.tar'}: not a tar" in capsys.readouterr().err
    (tmp_path / "imagenet").mkdir()
    assert main(["data", "list", "imagenet", "--root", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data_sets"][0]["state"] == "missing"
