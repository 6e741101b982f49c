"""What several parts' tests share: a packed digits model, a folder of digit pictures, and a small disk."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tests run side by side, and fighting threads cost much

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from sklearn.datasets import load_digits

settings.register_profile("onebit", deadline=None)  # a busy machine is no failure
settings.load_profile("onebit")

HELD_BACK = ("6", "7", "8", "9")


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
def digit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of each held-back digit, in a folder a class."""
    digits = load_digits()
    folder = tmp_path_factory.mktemp("digits")
    for name in HELD_BACK:
        (folder / name).mkdir()
        for i, image in enumerate(digits.images[digits.target == int(name)][:8]):
            Image.fromarray(np.round(image * 255 / 16).astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


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
