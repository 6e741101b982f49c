"""Commands on a disk without room: one clear line that names the place, exit code 2, what was there still there."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from onebit import cli
from tests.cli.checkpoints import write_checkpoint
from tests.training.recipes import VALUES

Fails = Callable[..., None]


@pytest.fixture
def fails(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Runs a command that must end for want of room on the small disk and change nothing there."""

    def run(*words: str | Path, but: str = "") -> None:
        before = contents(small_disk, but)
        assert cli.main([*map(str, words), "--json"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{small_disk}/" in line
        assert "No space left on device" in line
        assert "free some space" in line
        assert contents(small_disk, but) == before

    return run


def contents(folder: Path, but: str) -> dict[str, bytes]:
    files = (path for path in folder.glob("**/*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if path.relative_to(folder).parts[0] != but}


def fill(disk: Path, spare: int) -> None:
    """Takes all of the disk but ``spare`` bytes."""
    (disk / "other").write_bytes(bytes(shutil.disk_usage(disk).free - spare))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(VALUES))
    return file


def test_train(small_disk: Path, recipe: Path, fails: Fails) -> None:
    fill(small_disk, 40_000)
    fails("train", recipe, "--output", small_disk / "run", but="run")
    kept = {path.name for path in (small_disk / "run").iterdir()}
    assert kept == {"recipe.yaml", "train.lock", "logs"}, "no half of a checkpoint"


@pytest.mark.slow
def test_train_keeps_the_old_checkpoint(small_disk: Path, recipe: Path, fails: Fails) -> None:
    out = small_disk / "run"
    assert cli.main(["train", str(recipe), "--output", str(out), "--trainer.max_steps", "4"]) == 0
    old = (out / "last.ckpt").read_bytes()
    fill(small_disk, 40_000)
    again = ["train", recipe, "--output", out, "--resume", out / "last.ckpt"]
    fails(*again, but="run")
    assert (out / "last.ckpt").read_bytes() == old
    assert not list(out.glob(".*"))
    (small_disk / "other").unlink()
    assert cli.main([*map(str, again)]) == 0, "with room again it goes on"


@pytest.mark.parametrize("there", [False, True])
def test_export(there: bool, small_disk: Path, tmp_path: Path, fails: Fails) -> None:
    packed = small_disk / "m.obn"
    if there:
        packed.write_bytes(b"an older model")
    fill(small_disk, 8_192)
    fails("export", write_checkpoint(tmp_path / "c.ckpt"), "-o", packed, "--force")


def test_cost(small_disk: Path, recipe: Path, fails: Fails) -> None:
    fill(small_disk, 8_192)
    fails("cost", recipe, "--plot", small_disk / "plot.png")


@pytest.mark.parametrize("spare", [8_192, 100_000], ids=["in the model's copy", "in the state"])
def test_learn_new(spare: int, small_disk: Path, digits_model: Path, fails: Fails) -> None:
    fill(small_disk, spare)
    fails("learn", "new", small_disk / "store", digits_model)
    assert os.listdir(small_disk) == ["other"]


def test_learning_needs_no_room(small_disk: Path, digits_model: Path, digit_folder: Path) -> None:
    store = str(small_disk / "store")
    assert cli.main(["learn", "new", store, str(digits_model)]) == 0
    fill(small_disk, 0)
    assert cli.main(["learn", "teach", store, str(digit_folder)]) == 0
    assert cli.main(["learn", "check", store]) == 0
