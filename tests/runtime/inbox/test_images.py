"""Labelled images on a disk: folders, lists, and what is wrong with them."""

from pathlib import Path

import pytest

from onebit import OnebitError
from onebit.runtime.inbox.images import LabelledImages, read_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat/a.png", "cat/deep/b.JPG", "cat/.hidden.png", "cat/note.md", "dog/c.png", ".trash/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_a_class(folder: Path) -> None:
    found = read_images([folder])
    assert [path.name for path in found.paths] == ["a.png", "b.JPG", "c.png"]
    assert found.names == ("cat", "cat", "dog")
    assert read_images([folder / "cat", folder / "dog" / "c.png"], "pet").names == ("pet",) * 3


@pytest.mark.parametrize("text", ["cat/a.png,tiger\ndog/c.png,wolf, grey\n", "cat/a.png\ttiger\ndog/c.png\twolf, grey"])
def test_a_list(folder: Path, text: str) -> None:
    if "\t" not in text:
        text = text.replace("wolf, grey", '"wolf, grey"')
    (folder / "list.txt").write_text("\n" + text)
    found = read_images([folder / "list.txt"])
    assert found == LabelledImages((folder / "cat/a.png", folder / "dog/c.png"), ("tiger", "wolf, grey"))


def test_a_list_of_a_spreadsheet(folder: Path) -> None:
    (folder / "list.csv").write_text("cat/a.png,tiger\r\n", "utf-8-sig")
    assert read_images([folder / "list.csv"]).paths == (folder / "cat/a.png",)


def test_links_are_followed_and_hidden_folders_are_not(folder: Path) -> None:
    (folder / "cat" / ".ipynb_checkpoints").mkdir()
    (folder / "cat" / ".ipynb_checkpoints" / "x.png").touch()
    (folder / "archive").mkdir()
    (folder / "archive" / "old.png").touch()
    (folder / "cat" / "more").symlink_to(folder / "archive")
    (folder / "cat" / "loop").symlink_to(folder)
    before = read_images([folder / "dog"], "dog").paths
    assert [path.name for path in read_images([folder / "cat"], "cat").paths].count("old.png") >= 1
    assert not any("x.png" in path.name for path in read_images([folder / "cat"], "cat").paths)
    assert read_images([folder / "dog"], "dog").paths == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no image"),
        ("cat/a.png,cat\ncat/none.png,cat", "line 2: there is no file"),
        ("cat/a.png,cat\n\ncat/a.png", "line 3: not a path and a class"),
        ("cat/a.png,", "line 1: not a path and a class"),
        ("cat/a.png,cat,dog", "line 1: not a path and a class"),
        ("cat,cat", "line 1: there is no file"),
    ],
)
def test_a_wrong_line_is_named(folder: Path, text: str, said: str) -> None:
    (folder / "list.csv").write_text(text)
    with pytest.raises(OnebitError, match=said):
        read_images([folder / "list.csv"])


def test_what_is_nothing(folder: Path) -> None:
    (folder / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (folder / "empty").mkdir()
    for items, said in (
        (["nowhere"], "no folder"),
        (["nowhere.csv"], "no folder of class folders and no list"),
        (["a.png", "b.png"], "several items"),
        ([folder / "binary.csv"], "UTF-8"),
        ([folder / "empty"], "no subfolder"),
        ([folder], "empty holds no image"),
    ):
        with pytest.raises(OnebitError, match=said):
            read_images(items)


def test_the_split_is_of_each_class_and_always_the_same() -> None:
    many = LabelledImages(tuple(Path(f"{i}.png") for i in range(31)), ("a",) * 10 + ("b",) * 20 + ("c",))
    train, test = many.split(0.2)
    assert (test.names.count("a"), test.names.count("b"), test.names.count("c")) == (2, 4, 0)
    assert sorted(train.paths + test.paths) == sorted(many.paths)
    assert many.split(0.2) == (train, test)
    for share in (0, 1, -1, 2):
        with pytest.raises(OnebitError):
            many.split(share)
    with pytest.raises(OnebitError):
        LabelledImages((Path("a"),), ("a",)).split(0.5)
