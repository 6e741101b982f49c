"""Every data set in its published form, on the real files where they are at hand."""

import os

import pytest
import torch

from onebit import data
from onebit.data.dataset import channel_statistics, check_labels, default_root, verify
from onebit.errors import OnebitError


def at_hand(name: str) -> data.DataSet:
    made = data.create(name)
    if made.folders:
        try:
            made.folder()
        except OnebitError as missing:
            pytest.skip(str(missing))
    return made


PUBLISHED = ["digits", "mnist", "fashion_mnist", "cifar10", "cifar100"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_set_is_whole(name):
    found = at_hand(name)
    for part, (images, labels) in enumerate((found.train(), found.test())):
        assert images.shape == (found.counts[part], *found.shape)
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert labels.shape == (found.counts[part],)
        assert labels.unique().tolist() == list(range(len(found.classes)))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_stated_statistics_are_those_of_the_training_images(name):
    found = at_hand(name)
    mean, std = channel_statistics(found.train()[0])
    assert mean == pytest.approx(found.mean, abs=1e-7)
    assert std == pytest.approx(found.std, abs=1e-7)


def test_channel_statistics_are_those_of_torch():
    images = torch.randint(256, (7, 3, 5, 4), dtype=torch.uint8)
    mean, std = channel_statistics(images)
    scaled = images.double() / 255
    assert mean == pytest.approx(scaled.mean((0, 2, 3)).tolist())
    assert std == pytest.approx(scaled.std((0, 2, 3), correction=0).tolist())


def test_digits_are_scaled_and_divided_once_and_for_all():
    from sklearn.datasets import load_digits

    made = data.create("digits")
    (train, train_labels), (test, test_labels) = made.train(), made.test()
    rows = [tuple(image.flatten().tolist()) for image in torch.cat([train, test])]
    original = (torch.from_numpy(load_digits().images) * 255 / 16).round().to(torch.uint8)
    assert sorted(rows) == sorted(tuple(image.flatten().tolist()) for image in original)
    assert (
        train_labels.bincount() / 1437 - torch.cat([train_labels, test_labels]).bincount() / 1797
    ).abs().max() < 1e-3
    assert torch.equal(data.create("digits").test()[0], test)


def test_cifar10_images_are_the_right_way_up_and_round():
    """The sky of aeroplanes is blue and above: the layout is channel, row, column."""
    images, labels = at_hand("cifar10").train()
    planes = images[labels == 0].float().mean(0)
    assert planes[2].mean() > planes[0].mean()
    frogs = images[labels == 6].float().mean(0)
    assert frogs[1].mean() > frogs[2].mean()
    assert (planes[:, :8].mean((1, 2)) > planes[:, 16:24].mean((1, 2))).all()


def test_the_subset_of_cifar100_says_what_it_is():
    found = at_hand("cifar100_subset")
    (_, train), (_, test) = found.train(), found.test()
    assert len(found.classes) == 20
    assert found.classes[:3] == ("apple", "aquarium_fish", "baby")
    assert train.bincount().tolist() == [200] * 20
    assert test.bincount().tolist() == [100] * 20
    assert found.note.startswith("20 of the 100 classes")


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(OnebitError, match="did you mean cifar10") as caught:
        data.create("cifr10")
    assert "cifr10" in caught.value.message
    with pytest.raises(OnebitError, match="digits, mnist"):
        data.create("zzz")


def test_an_unknown_option_is_named():
    with pytest.raises(OnebitError, match="colour"):
        data.create("digits", colour=True)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100"])
def test_a_missing_set_says_where_it_looked_and_how_to_get_it(name, tmp_path):
    with pytest.raises(OnebitError) as caught:
        data.create(name, root=tmp_path).train()
    assert str(tmp_path) in caught.value.message
    assert f"onebit data get {name}" in caught.value.hint


def test_the_root_is_the_variable_else_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ONEBIT_DATA", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("ONEBIT_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root().is_relative_to(tmp_path) or os.name == "nt"


def test_verify_names_the_file(tmp_path):
    (tmp_path / "a").write_bytes(b"changed")
    with pytest.raises(OnebitError, match=r"a is not the published file: its md5 is"):
        verify(tmp_path, {"a": "0" * 32})
    with pytest.raises(OnebitError, match=r"b is missing"):
        verify(tmp_path, {"b": "0" * 32})


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_of_no_class_is_refused(label, tmp_path):
    with pytest.raises(OnebitError, match=f"label {label} of image 1"):
        check_labels([0, label, 2], 3, tmp_path)


def test_check_finds_a_class_without_images(monkeypatch):
    digits = data.create("digits")
    images, labels = digits.train()
    monkeypatch.setattr(digits, "test", lambda: (images[labels != 4][:360], labels[labels != 4][:360]))
    with pytest.raises(OnebitError, match="no image of 4"):
        digits.check()
    monkeypatch.setattr(digits, "test", lambda: (images[:5], labels[:5]))
    with pytest.raises(OnebitError, match="1437 training and 5 test"):
        digits.check()
