"""What several parts' tests share: packed digits models, images, a small disk, and the state of PyTorch."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tests run side by side, and fighting threads cost much

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from onebit.data.core50 import CORe50

settings.register_profile("onebit", deadline=None)  # a busy machine is no failure
settings.load_profile("onebit")

HELD_BACK = ("6", "7", "8", "9")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=0, help="of the tests that learn: benchmarks/learning_bounds.py")


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """Of the weights and batches of a test that learns."""
    return request.config.getoption("--seed")


@pytest.fixture(scope="session")
def digits_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained small binary network over the digits 0 to 5, packed."""
    import torch

    from onebit import deploy, models

    torch.manual_seed(0)
    net = models.create("small", num_classes=6).eval()
    path = tmp_path_factory.mktemp("model") / "digits.obn"
    names = [str(digit) for digit in range(6)]
    deploy.export(net, path, torch.randn(16, *net.input_shape), classes=names, samples=[100] * 6)
    return path


@pytest.fixture(scope="session")
def teachable_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``digits_model``, with a tail that can be taught and 12 latents to replay."""
    import torch

    from onebit import deploy, models

    torch.manual_seed(0)
    net = models.create("small", num_classes=6, latent_sign="blocks.1").eval()
    path = tmp_path_factory.mktemp("model") / "teachable.obn"
    names, images = [str(digit) for digit in range(6)], torch.randn(16, *net.input_shape)
    replay = deploy.Teachable(images[:12], [i % 6 for i in range(12)])
    deploy.export(net, path, images, classes=names, samples=[100] * 6, teachable=replay)
    return path


@pytest.fixture(scope="session")
def digit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images of each held-back digit, in a folder per class."""
    digits = load_digits()
    folder = tmp_path_factory.mktemp("digits")
    for name in HELD_BACK:
        (folder / name).mkdir()
        for i, image in enumerate(digits.images[digits.target == int(name)][:8]):
            Image.fromarray(np.round(image * 255 / 16).astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def core50_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a made-up CORe50."""
    from tests.data.core50 import core50_folder

    root = tmp_path_factory.mktemp("core50")
    core50_folder(root)
    return root


@pytest.fixture(scope="session")
def core50(core50_root: Path) -> "CORe50":
    """Its images, 2×2 pixels."""
    from onebit import data
    from onebit.data.core50 import CORe50

    made = data.create("core50", size=2, root=core50_root)
    assert isinstance(made, CORe50)
    return made


@pytest.fixture
def one_thread() -> Iterator[None]:
    """A small network gains nothing from threads, and loses much on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def seeded(seed: int) -> None:
    """The same weights and inputs in every run."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root on Linux only")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)
