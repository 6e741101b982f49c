"""CORe50, on made-up files in the published layout."""

from pathlib import Path

import pytest
import torch

from onebit import OnebitError, data
from onebit.data.core50 import CORe50
from tests.data.core50 import core50_folder


def test_sessions_3_7_and_10_are_held_out(core50: CORe50) -> None:
    images, labels = core50.train()
    assert (images.shape, core50.test()[0].shape) == ((400, 3, 2, 2), (150, 3, 2, 2))
    assert torch.equal(images[:, 0, 0, 0], core50.train_sessions)
    assert torch.equal(images[:, 1, 0, 0], core50.train_objects)
    assert torch.equal(labels + 1, core50.train_objects)
    assert set(core50.train_sessions.tolist()) == {1, 2, 4, 5, 6, 8, 9, 11}
    assert core50.test()[0][:, 0, 0, 0].unique().tolist() == [3, 7, 10]
    assert core50.train_files[0] == "s1/o1/C_01_01_000.png"
    assert (len(core50.classes), core50.classes[49]) == (50, "remote_control5")


def test_categories_are_five_objects_each(core50_root: Path, core50: CORe50) -> None:
    coarse = data.create("core50", size=2, level="category", root=core50_root)
    assert torch.equal(coarse.train()[1], core50.train()[1] // 5)
    assert (len(coarse.classes), coarse.classes[9]) == (10, "remote_control")


def test_a_misnamed_image_is_named(tmp_path: Path) -> None:
    folder = core50_folder(tmp_path)
    (folder / "s2" / "o5" / "C_02_05_000.png").rename(folder / "s2" / "o5" / "C_02_06_000.png")
    with pytest.raises(OnebitError, match="C_02_06_000"):
        data.create("core50", path=folder, size=2).train()
    with pytest.raises(OnebitError, match="core50"):
        data.create("core50", root=tmp_path / "none").train()


def test_another_level_is_refused() -> None:
    with pytest.raises(OnebitError, match="level"):
        data.create("core50", level="shelf")
