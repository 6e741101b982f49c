"""The device's installation: no torch, small, and able to run, time and teach a packed model."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIMIT = 60e6  # bytes of wheels to bring to the device


def output(*words: object, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    output(sys.executable, "-m", "pip", "wheel", "-q", "-w", folder, "--config-settings=build-dir=", ROOT)
    return folder


@pytest.fixture(scope="module")
def device(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the base install only."""
    folder = tmp_path_factory.mktemp("device")
    output(sys.executable, "-m", "venv", folder)
    output(folder / "bin" / "pip", "install", "-q", "--no-index", "--find-links", wheels, "onebit")
    return folder / "bin"


@pytest.mark.slow
def test_the_wheels_are_small(wheels: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in wheels.iterdir()}
    assert not [name for name in sizes if re.match("torch|lightning|nvidia|scipy|matplotlib", name)]
    assert sum(sizes.values()) < LIMIT, sizes


@pytest.mark.slow
def test_it_runs_times_and_learns_without_torch(
    device: Path, digits_model: Path, digit_folder: Path, tmp_path: Path
) -> None:
    onebit = device / "onebit"
    images = sorted(digit_folder.glob("*/*.png"))
    assert output(device / "python", "-c", "import onebit, sys; print('torch' in sys.modules)").strip() == "False"

    answer = json.loads(output(onebit, "run", digits_model, *images[:3], "--json"))
    assert [row["path"] for row in answer["images"]] == [str(path) for path in images[:3]]
    assert json.loads(output(onebit, "bench", digits_model, "--json"))["median_ms"] > 0

    store = tmp_path / "store"
    output(onebit, "learn", "new", store, digits_model)
    output(onebit, "learn", "teach", store, digit_folder, "--experience", "first")
    taught = json.loads(output(onebit, "learn", "show", store, "--json"))
    assert {path.parent.name for path in images} <= {row["name"] for row in taught["classes"]}


@pytest.mark.slow
def test_training_commands_say_what_to_install(device: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [device / "onebit", "train", ROOT / "recipes" / "digits_cyclebnn.yaml", "--output", tmp_path / "run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "onebit[train]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
