"""Checkpoints are data from outside: what is wrong with one is said in a line, and nothing in it runs."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from onebit.errors import OnebitError
from onebit.training import fit, load_checkpoint
from tests.training.recipes import tiny


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    fit(tiny(trainer={"max_steps": 2}), folder, progress=False)
    return folder / "last.ckpt"


def changed(checkpoint: Path, target: Path, **entries: Any) -> Path:
    content = torch.load(checkpoint, weights_only=True)
    content["onebit"].update(entries)
    torch.save(content, target)
    return target


def test_rebuilds_the_network_with_its_precision(checkpoint: Path) -> None:
    net, info = load_checkpoint(checkpoint)
    assert not net.training
    assert info["method"]["class_path"] == "onebit.methods.CycleBNN"
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[f"net.{name}"]), name


def test_missing_file() -> None:
    with pytest.raises(OnebitError, match="no such checkpoint"):
        load_checkpoint("nowhere.ckpt")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated(checkpoint: Path, tmp_path: Path, share: float) -> None:
    content = checkpoint.read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(OnebitError, match="damaged or not a checkpoint"):
        load_checkpoint(tmp_path / "cut.ckpt")


def test_no_code_of_a_file_runs(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "it ran",)

    for name, write in (("torch.ckpt", torch.save), ("pickle.ckpt", lambda x, f: f.write_bytes(pickle.dumps(x)))):
        write({"onebit": Bomb()}, tmp_path / name)
        with pytest.raises(OnebitError, match="damaged or not a checkpoint"):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "it ran").exists()


def test_foreign_checkpoint(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "epoch": 3}, tmp_path / "other.ckpt")
    with pytest.raises(OnebitError, match="not a checkpoint of onebit"):
        load_checkpoint(tmp_path / "other.ckpt")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"shape": None}, "onebit.shape is missing or of a wrong kind"),
        ({"shape": [1, 8, -8]}, "image shape is"),
        ({"mean": [float("nan")]}, "its mean is"),
        ({"samples": [1]}, "classes and samples do not match"),
        ({"classes": ["a"], "samples": [1]}, "weights do not fit the model"),
        ({"model": {"name": "small"}}, "weights do not fit the model"),
        ({"model": {"name": "small", "options": {"width": 4}}}, "weights do not fit the model"),
        ({"model": {"name": "large", "options": {}}}, "no model 'large'"),
        ({"method": None}, "weights do not fit the model"),
        ({"method": {"class_path": "os.system", "init_args": {}}}, "a method of a foreign package, os.system"),
        ({"method": {"class_path": "onebit.methods.os.system", "init_args": {}}}, "no method onebit.methods.os.system"),
    ],
)
def test_damaged_entries(checkpoint: Path, tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    file = changed(checkpoint, tmp_path / "changed.ckpt", **entries)
    with pytest.raises(OnebitError, match=message):
        load_checkpoint(file)
