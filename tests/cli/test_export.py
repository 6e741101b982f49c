import json
from pathlib import Path

import numpy as np
import pytest
import torch

import onebit
from onebit import cli, data
from onebit.training import load_checkpoint
from tests.cli.checkpoints import write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "best.ckpt")


def test_a_checkpoint_becomes_a_packed_model(checkpoint: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "m.obn"
    assert cli.main(["export", str(checkpoint), "-o", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"path", "bytes", "layers", "notes", "verified", "int8", "calibration"}
    assert result["int8"] is None
    assert result["bytes"] == path.stat().st_size
    assert set(result["layers"][0]) == {"name", "kind", "weight_bits", "activation_bits", "bytes", "packed", "why"}
    assert result["calibration"] == "512 training images of digits"

    net, info = load_checkpoint(checkpoint)
    model = onebit.load(path)
    assert list(model.classes) == info["classes"]
    assert list(model.class_samples) == info["samples"]
    assert model.provenance["method"] == info["method"]
    assert model.provenance["calibration"] == result["calibration"]

    digits = data.create("digits")
    images = digits.test()[0]
    x = (images / 255 - torch.tensor(digits.mean).view(-1, 1, 1)) / torch.tensor(digits.std).view(-1, 1, 1)
    with torch.no_grad():
        expected = net(x).numpy()
    logits = model(x.numpy())
    assert np.abs(logits - expected).max() <= 1e-3 * np.abs(expected).max()
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).all()
    low, high = model.features_range
    features = model(x.numpy(), "features")
    assert low < np.median(features) < high


def test_it_prints_the_table(checkpoint: Path, tmp_path: Path, capsys) -> None:
    assert cli.main(["export", str(checkpoint), "-o", str(tmp_path / "m.obn")]) == 0
    out = capsys.readouterr().out
    assert "blocks.0.conv" in out
    assert "512 training images of digits" in " ".join(out.split())


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"name": "mnist", "options": {}}, "the data set mnist is not in"),
        ({"name": "no-such", "options": {}}, "there is no data set 'no-such'"),
        ({"name": "digits", "options": None}, "names no data set"),
    ],
)
def test_without_its_data_set_it_says_what_it_measured_on(
    entry, reason: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("ONEBIT_DATA", str(tmp_path))
    checkpoint = write_checkpoint(tmp_path / "best.ckpt", data=entry)
    assert cli.main(["export", str(checkpoint), "-o", str(tmp_path / "m.obn"), "--json"]) == 0
    calibration = json.loads(capsys.readouterr().out)["calibration"]
    assert calibration.startswith("random noise")
    assert reason in calibration
    assert onebit.load(tmp_path / "m.obn").features_range is not None


def test_real_valued_layers_in_int8(checkpoint: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "m.obn"
    assert cli.main(["export", str(checkpoint), "-o", str(path), "--real-valued", "int8", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["int8"]["images"] == result["int8"]["agreeing"] == 512
    rows = [row for row in result["layers"] if row["weight_bits"] > 1]
    assert rows
    assert all("in int8" in row["why"] for row in rows)
    assert onebit.load(path).report["int8"] == result["int8"]
    assert cli.main(["export", str(checkpoint), "-o", str(path), "--real-valued", "int8", "--force"]) == 0
    assert "top-1 is that of float32 on 512 of 512 calibration images" in " ".join(capsys.readouterr().out.split())

    assert cli.main(["inspect", str(path), "--json"]) == 0
    inspected = json.loads(capsys.readouterr().out)["layers"]
    bits = [(row["weight_bits"], row["activation_bits"], row["why"]) for row in result["layers"]]
    assert [(row["weight_bits"], row["activation_bits"], row["why"]) for row in inspected] == bits


def test_int8_is_not_checked_on_noise(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("ONEBIT_DATA", str(tmp_path))
    checkpoint = write_checkpoint(tmp_path / "best.ckpt", data={"name": "mnist", "options": {}})
    assert cli.main(["export", str(checkpoint), "-o", str(tmp_path / "m.obn"), "--real-valued", "int8"]) == 2
    error = capsys.readouterr().err
    assert "int8 and a teachable tail need training images: the data set mnist is not in" in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "m.obn").exists()


def test_an_existing_file_needs_force(checkpoint: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "m.obn"
    path.write_text("mine")
    words = ["export", str(checkpoint), "-o", str(path)]
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert "exists already" in error
    assert len(error.strip().splitlines()) == 1
    assert path.read_text() == "mine"
    assert cli.main([*words, "--force"]) == 0
    onebit.load(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such checkpoint"), (b"", "damaged"), (b"PK\x03\x04 something else", "damaged")],
)
def test_bad_checkpoints_are_one_line(content: bytes | None, reason: str, tmp_path: Path, capsys) -> None:
    if content is not None:
        (tmp_path / "a.ckpt").write_bytes(content)
    assert cli.main(["export", str(tmp_path / "a.ckpt"), "-o", str(tmp_path / "m.obn")]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "m.obn").exists()


def test_a_teachable_file_brings_latents_along(tmp_path: Path, capsys) -> None:
    checkpoint = write_checkpoint(tmp_path / "best.ckpt", latent_sign="blocks.1")
    command = ["export", str(checkpoint), "--teachable", "--json", "-o"]
    assert cli.main([*command, str(tmp_path / "none.obn"), "--replay", "0"]) == 0
    assert cli.main([*command, str(tmp_path / "some.obn"), "--replay", "63"]) == 0
    assert cli.main([*command, str(tmp_path / "again.obn"), "--replay", "63"]) == 0
    capsys.readouterr()
    none, some, again = (onebit.load(tmp_path / f"{name}.obn") for name in ("none", "some", "again"))
    latents = 63 * 4 * 4 * 96 // 8
    assert latents <= (tmp_path / "some.obn").stat().st_size - (tmp_path / "none.obn").stat().st_size < latents + 1024
    assert some.sha256 == again.sha256 != none.sha256
    assert some.outputs["latents"] == (96, 4, 4)


def test_without_a_cut_nothing_is_teachable(checkpoint: Path, tmp_path: Path, capsys) -> None:
    assert cli.main(["export", str(checkpoint), "-o", str(tmp_path / "m.obn"), "--teachable"]) == 2
    assert "latent_sign" in capsys.readouterr().err
    assert not (tmp_path / "m.obn").exists()
