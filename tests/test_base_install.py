"""The device's installation, from the sources to a fresh environment: what is packed, small, without torch, and able to
run, time and teach a packed model.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

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
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel that was built from it alone."""
    folder = tmp_path_factory.mktemp("built")
    output(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheels(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and all that it needs."""
    folder = tmp_path_factory.mktemp("wheels")
    output(sys.executable, "-m", "pip", "wheel", "-q", "-w", folder, *built.glob("*.whl"))
    return folder


@pytest.fixture(scope="module")
def device(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the base install only."""
    folder = tmp_path_factory.mktemp("device")
    output(sys.executable, "-m", "venv", folder)
    output(folder / "bin" / "pip", "install", "-q", "--no-index", "--find-links", wheels, "onebit")
    return folder / "bin"


@pytest.mark.slow
def test_the_source_distribution_holds_what_a_build_needs_and_no_more(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = [Path(*Path(name).parts[1:]).as_posix() for name in archive.getnames()]
    listed = ("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard")
    kept = output(*listed, "native", "src", "README.md", "LICENSE", "pyproject.toml").splitlines()
    assert set(names) == {"PKG-INFO", *kept}
    assert path.stat().st_size < 1e6


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_no_more(built: Path) -> None:
    (path,) = built.glob("*.whl")
    names = zipfile.ZipFile(path).namelist()
    kinds = (".py", ".pyi", ".typed")
    files = [file for file in (ROOT / "src").rglob("*") if file.suffix in kinds]
    sources = {file.relative_to(ROOT / "src").as_posix() for file in files}
    (engine,) = (name for name in names if name.startswith("onebit/_engine.") and not name.endswith(".pyi"))
    assert {name for name in names if ".dist-info/" not in name} == sources | {engine}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    stable = sys.version_info >= (3, 12)
    assert (".abi3." in engine, "-abi3-" in path.name) == (stable, stable)
    assert path.stat().st_size < 2e6


@pytest.mark.slow
def test_the_recorded_answers(device: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [device / "python", ROOT / "tests/wheel/check.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


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
def test_it_teaches_a_tail_without_torch(
    device: Path, teachable_model: Path, digit_folder: Path, tmp_path: Path
) -> None:
    missing = "import importlib.util as u; print(*(n for n in ('torch', 'lightning', 'sklearn') if u.find_spec(n)))"
    assert output(device / "python", "-c", missing).strip() == ""
    store = tmp_path / "store"

    def learn(*words: object) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(output(device / "onebit", "learn", *words, "--json"))
        return answer

    new = learn("new", store, teachable_model, "--replay", "40")
    assert (new["replay"], len(new["classes"])) == (12, 6)
    taught = learn("teach", store, digit_folder, "--experience", "first", "--epochs", "2")
    assert taught["counted"]
    shown = learn("show", store)
    assert {row["name"] for row in shown["classes"]} == {
        *map(str, range(6)),
        *(path.name for path in digit_folder.iterdir()),
    }
    assert shown["replay"] == 40
    back = learn("rollback", store)
    assert (back["replay"], len(back["classes"])) == (12, 6)
    assert learn("check", store) == {**back, "unfinished": 0}


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
