import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image

from onebit import data
from onebit.errors import OnebitError


def fill(folder, counts, side=12):
    """Images whose red value is their number in their class."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (side, side), (number, 10, 20)).save(folder / name / f"{number:03}.png")


def test_train_and_test_folders(tmp_path):
    fill(tmp_path / "train", {"b": 3, "a": 2})
    fill(tmp_path / "val", {"a": 1, "b": 2})
    made = data.create("folder", path=str(tmp_path), size=[6, 8])
    images, labels = made.train()
    assert made.classes == ("a", "b")
    assert made.shape == (3, 6, 8)
    assert images.shape == (5, 3, 6, 8)
    assert images.dtype == torch.uint8
    assert labels.tolist() == [0, 0, 1, 1, 1]
    assert images[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 2]
    assert made.test()[1].tolist() == [0, 1, 1]
    assert made.mean == pytest.approx((0.8 / 255, 10 / 255, 20 / 255))
    assert min(made.std) > 0, "a channel of one value can be divided by its deviation"


def test_a_flat_folder_is_divided_by_the_seed(tmp_path):
    fill(tmp_path, {"a": 10, "b": 5, "c": 1})

    def parts(seed):
        made = data.create("folder", path=tmp_path, size=4, seed=seed)
        return [
            [(int(label), int(image[0, 0, 0])) for image, label in zip(*part, strict=True)]
            for part in (made.train(), made.test())
        ]

    train, test = parts(0)
    assert not set(train) & set(test)
    assert len(train + test) == 16
    assert [sum(label == k for label, _ in test) for k in range(3)] == [2, 1, 0]
    assert parts(0) == [train, test]
    assert any(parts(seed) != [train, test] for seed in range(1, 5))


def test_images_of_any_mode_and_size_become_rgb(tmp_path):
    fill(tmp_path / "train", {"a": 1})
    for mode, suffix in (("L", "png"), ("RGBA", "png"), ("P", "gif"), ("1", "bmp"), ("RGB", "jpg")):
        Image.new(mode, (5, 9)).save(tmp_path / "train" / "a" / f"{mode}.{suffix}")
    (tmp_path / "train" / "a" / "notes.txt").write_text("not an image, not read")
    fill(tmp_path / "test", {"a": 1})
    assert data.create("folder", path=tmp_path, size=7).train()[0].shape == (6, 3, 7, 7)


def test_images_are_stretched_as_pillow_does(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 5, 3), np.uint8)
    fill(tmp_path / "test", {"a": 1})
    (tmp_path / "train" / "a").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "train" / "a" / "x.png")
    expected = np.array(Image.fromarray(pixels).resize((4, 6), Image.Resampling.BILINEAR))
    found = data.create("folder", path=tmp_path, size=(6, 4)).train()[0][0]
    assert np.array_equal(found.permute(1, 2, 0).numpy(), expected)


def test_corrupt_images_are_all_named(tmp_path):
    fill(tmp_path / "train", {"a": 3})
    fill(tmp_path / "test", {"a": 1})
    whole = (tmp_path / "train" / "a" / "000.png").read_bytes()
    (tmp_path / "train" / "a" / "000.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "train" / "a" / "empty.jpg").write_bytes(b"")
    (tmp_path / "train" / "a" / "text.png").write_text("not an image")
    with pytest.raises(OnebitError) as caught:
        data.create("folder", path=tmp_path, size=4).train()
    assert caught.value.message.startswith("3 of 5 images cannot be read")
    assert all(name in caught.value.message for name in ("000.png", "empty.jpg", "text.png"))


def test_a_class_only_in_the_test_part_is_refused(tmp_path):
    fill(tmp_path / "train", {"a": 1})
    fill(tmp_path / "test", {"a": 1, "b": 1})
    with pytest.raises(OnebitError, match="b: a class that"):
        data.create("folder", path=tmp_path, size=4).test()


def test_a_folder_without_images_is_refused(tmp_path):
    made = data.create("folder", path=tmp_path, size=4)
    with pytest.raises(OnebitError, match="no folder of images"):
        made.train()
    (tmp_path / "a").mkdir()
    with pytest.raises(OnebitError, match="no images"):
        data.create("folder", path=tmp_path, size=4).train()
    with pytest.raises(OnebitError, match="there is no folder"):
        data.create("folder", path=tmp_path / "none", size=4).train()


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 4, "test_share": 1.0}])
def test_wrong_options_are_refused(tmp_path, wrong):
    with pytest.raises(OnebitError, match="size of at least 1"):
        data.create("folder", path=tmp_path, **wrong)


def test_a_relative_path_is_looked_for_under_the_root(tmp_path):
    fill(tmp_path / "pets", {"a": 2})
    assert data.create("folder", path="pets", size=4, root=tmp_path).classes == ("a",)


def test_images_are_read_as_the_packed_model_reads_them(tmp_path):
    """Turned as their EXIF says, and sixteen bits without clipping."""
    from onebit.runtime.image import to_input

    pixels = np.random.default_rng(0).integers(0, 256, (9, 5, 3), np.uint8)
    fill(tmp_path / "test", {"a": 1})
    place = tmp_path / "train" / "a"
    place.mkdir(parents=True)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels).save(place / "0.jpg", exif=turned)
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(place / "1.png")
    Image.fromarray(pixels).convert("P").save(place / "2.gif", save_all=True, append_images=[Image.new("P", (5, 9))])
    found = data.create("folder", path=tmp_path, size=(6, 4)).train()[0]
    for number, file in enumerate(sorted(place.iterdir())):
        expected = to_input(file, (3, 6, 4), [0] * 3, [1] * 3)
        assert np.array_equal(found[number].numpy().transpose(1, 2, 0).astype(np.float32) / 255, expected), file.name
    assert not found[0].equal(found[1])


def test_a_class_without_images_is_refused(tmp_path):
    fill(tmp_path, {"a": 3, "b": 2})
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("no image")
    with pytest.raises(OnebitError, match="the class c has no image to train on"):
        data.create("folder", path=tmp_path, size=4).train()


@pytest.mark.parametrize(
    ("train", "test"), [("train", "valid"), ("Train", "VALIDATION"), ("training", "testing"), ("train", "val")]
)
def test_the_parts_by_their_common_names(train, test, tmp_path):
    fill(tmp_path / train, {"a": 3})
    fill(tmp_path / test, {"a": 2})
    made = data.create("folder", path=tmp_path, size=4)
    assert (len(made.train_files), len(made.test_files)) == (3, 2)
    assert made.test_files[0].startswith(f"{test}/")


def test_a_part_that_is_not_used_is_named(tmp_path):
    for part in ("train", "valid", "test"):
        fill(tmp_path / part, {"a": 2})
    made = data.create("folder", path=tmp_path, size=4)
    with pytest.warns(UserWarning, match="valid is not used, since test is there"):
        files = made.test_files
    assert files[0].startswith("test/")


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        (["train", "dev"], "beside train lies dev"),
        (["valid", "test"], "no part to train on"),
        (["cat/train", "cat/test"], "a part of the set lies in a class"),
    ],
)
def test_folders_of_no_known_part(places, reason, tmp_path):
    for place in places:
        fill(tmp_path / place, {"a": 2})
    with pytest.raises(OnebitError, match=reason):
        data.create("folder", path=tmp_path, size=4).train()


def test_hidden_folders_links_and_forms_of_unicode(tmp_path):
    fill(tmp_path, {"cat": 3, "cat/.trash": 1, "cat/more": 2, unicodedata.normalize("NFD", "é"): 2})
    (tmp_path / "cat" / "loop").symlink_to(tmp_path / "cat")
    (tmp_path / "dog").symlink_to(tmp_path / "cat" / "more")
    made = data.create("folder", path=tmp_path, size=4, test_share=0.01)
    assert made.classes == ("cat", "dog", unicodedata.normalize("NFC", "é"))
    files = made.train_files + made.test_files
    assert sum(name.startswith("cat/") for name in files) == 5
    assert sum(name.startswith("dog/") for name in files) == 2
    fill(tmp_path, {unicodedata.normalize("NFC", "é"): 1})
    with pytest.raises(OnebitError, match="two forms of Unicode"):
        data.create("folder", path=tmp_path, size=4).train()
