"""Images in folders and in shards: found, labelled, decoded, and named when they are damaged."""

import io
import os
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from onebit import data
from onebit.data.tar import INDEX, scan_shard
from onebit.errors import OnebitError
from tests.jpegs import jpegs, samples, shard, shards, tree


def contents(made):
    return [made.read(i) for i in range(len(made))]


def test_folders_and_shards_hold_the_same(tmp_path):
    folders = data.create("imagenet", path=tree(tmp_path / "tree"), size=16)
    tars = data.create("imagenet_shards", path=shards(tmp_path / "shards"), size=16)
    assert folders.classes == tars.classes == ("n00000000", "n00000001", "n00000002")
    for part, count in (("train_images", 36), ("test_images", 10)):
        one, other = getattr(folders, part), getattr(tars, part)
        assert len(one) == len(other) == count
        assert one.labels.tolist() == other.labels.tolist()
        assert contents(one) == contents(other)
    assert (
        folders.check()
        == tars.check()
        == {
            "train": 36,
            "test": 10,
            "classes": ["n00000000", "n00000001", "n00000002"],
            "shape": [3, 16, 16],
        }
    )
    assert folders.test_images.name(0).endswith(".JPEG")
    assert "val-000000.tar, member 0_" in tars.test_images.name(0)


@pytest.mark.parametrize("name", ["LOC_val_solution.csv", "val.txt"])
def test_a_flat_validation_folder_with_its_list(tmp_path, name):
    sorted_in = data.create("imagenet", path=tree(tmp_path / "tree"), size=16).test_images
    flat = tree(tmp_path / "flat")
    lines = ["ImageId,PredictionString"] if name.endswith("csv") else []
    for number in range(3):
        for file in sorted((flat / "val" / f"n0000000{number}").iterdir()):
            lines.append(f"{file.stem},n0000000{number} 1 2 3 4" if lines[:1] else f"{file.name} {number}")
            file.rename(flat / "val" / file.name)
        (flat / "val" / f"n0000000{number}").rmdir()
    if not name.endswith("csv"):
        lines = [f"{f.name} {f.name[0]}" for f in sorted((flat / "val").iterdir())]
    with pytest.raises(OnebitError, match=r"val is flat, and no list .*val\.txt"):
        _ = data.create("imagenet", path=flat).test_images
    (flat / name).write_text("\n".join(lines))
    found = data.create("imagenet", path=flat).test_images
    assert found.labels.tolist() == sorted_in.labels.tolist()
    assert contents(found) == contents(sorted_in)
    (flat / name).write_text("\n".join(lines[:-1]))
    with pytest.raises(OnebitError, match=f"{name} does not list"):
        _ = data.create("imagenet", path=flat).test_images
    (flat / name).write_text("\n".join([*lines, "x.JPEG n09999999"]))
    with pytest.raises(OnebitError, match=f"{name}, line {len(lines) + 1}"):
        _ = data.create("imagenet", path=flat).test_images


def test_an_index_is_kept_and_made_again_for_another_shard(tmp_path):
    folder = shards(tmp_path)
    before = contents(data.create("imagenet_shards", path=folder).train_images)
    indices = sorted(folder.glob(f"train*{INDEX}"))
    assert len(indices) == 3
    assert contents(data.create("imagenet_shards", path=folder).train_images) == before
    for garbage in (b"", b"x" * 7, np.full(30, 1 << 60).tobytes(), indices[0].read_bytes()[:24] + b"\xff" * 48):
        indices[0].write_bytes(garbage)  # as long as it is not of this shard, or points outside of it, it is not used
        assert contents(data.create("imagenet_shards", path=folder).train_images) == before
    shard(folder / "train-000000.tar", samples(jpegs(5)))
    assert len(data.create("imagenet_shards", path=folder).train_images) == 29


def test_each_thing_wrong_in_a_shard_is_named(tmp_path):
    good = samples(jpegs(2))
    for wrong, reason in (
        ([("a.jpg", b"x")], "a.jpg: a sample of 1 images and 0 labels"),
        ([("a.cls", b"1")], r"a\.\*: a sample of 0 images and 1 labels"),
        ([("a.jpg", b"x"), ("a.cls", b"-1")], "a.jpg: its label is b'-1'"),
        ([("a.jpg", b"x"), ("a.cls", b"9" * 19)], "a.jpg: its label is"),
        ([("a.jpg", b"x"), ("a.cls", b"7")], "a.jpg: its class is 7, there are 3"),
    ):
        folder = shards(tmp_path / str(len(list(tmp_path.iterdir()))))
        shard(folder / "val-000000.tar", [*good, *wrong])
        with pytest.raises(OnebitError, match=f"val-000000.tar, member {reason}"):
            _ = data.create("imagenet_shards", path=folder).test_images


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = tmp_path / "train-0.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    assert scan_shard(path).faults == {f"{path}, member a.jpg": "a link, a device or a sparse file"}


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.5, 0.77, 0.9999])
def test_a_shard_that_is_cut_off_is_named_or_what_is_whole_is_used(tmp_path, share):
    folder = shards(tmp_path)
    path = folder / "train-000001.tar"
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))
    path.write_bytes(whole[: int(end * share)])
    with pytest.raises(OnebitError, match=r"train-000001.tar.*on_corrupt skip"):
        _ = data.create("imagenet_shards", path=folder).train_images
    made = data.create("imagenet_shards", path=folder, on_corrupt="skip")
    assert 24 <= len(made.train_images) < 36 + (share > 0.99)
    assert any(name.startswith(str(path)) for name in made.faults.skipped)


def test_a_shard_cut_between_two_members_is_noticed(tmp_path):
    folder = shards(tmp_path)
    path = folder / "train-000001.tar"
    with tarfile.open(path) as archive:
        cut = archive.getmembers()[9].offset
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(OnebitError, match=r"train-000001\.tar: cut off"):
        _ = data.create("imagenet_shards", path=folder).train_images


def test_changed_bytes_never_do_worse_than_a_fault(tmp_path):
    folder = shards(tmp_path, each=6)
    path = folder / "train-000000.tar"
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole) // 512, 4) * 512:  # headers lie at multiples of 512
            damaged[place + random.integers(0, 160)] = random.integers(0, 256)
        path.write_bytes(damaged)
        scan = scan_shard(path)
        assert (scan.samples >= 0).all()
        assert (scan.samples[:, 0] + scan.samples[:, 1] <= len(whole)).all()


def test_a_missing_shard_is_named(tmp_path):
    folder = shards(tmp_path)
    (folder / "train-000001.tar").unlink()
    with pytest.raises(OnebitError, match=r"train-\*1.tar: this shard is missing"):
        _ = data.create("imagenet_shards", path=folder).train_images
    assert len(data.create("imagenet_shards", path=folder, on_corrupt="skip").train_images) == 24


def test_where_there_is_nothing(tmp_path):
    with pytest.raises(OnebitError, match="holds no shards"):
        _ = data.create("imagenet_shards", path=tmp_path).train_images
    with pytest.raises(OnebitError, match=r"there is no folder .*train"):
        _ = data.create("imagenet", path=tmp_path).classes
    with pytest.raises(OnebitError, match=r"imagenet is not in .*looked for"):
        data.create("imagenet", root=tmp_path).folder()
    with pytest.raises(OnebitError, match="on_corrupt is 'ignore'"):
        data.create("imagenet", on_corrupt="ignore")
    with pytest.raises(OnebitError, match="not held in memory"):
        data.create("imagenet", path=tree(tmp_path / "tree")).train()


def damage(folder):
    """One file that is no image, one cut off, one that unpacks to more than Pillow lets pass."""
    files = sorted(folder.glob("train/*/*.JPEG"))
    files[3].write_text("no image")
    files[10].write_bytes(files[10].read_bytes()[:300])
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    files[20].write_bytes(bomb.getvalue())
    return [str(files[i]) for i in (3, 10, 20)]


def test_damaged_images_are_named_or_left_out(tmp_path):
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    folder = tree(tmp_path)
    names = damage(folder)
    loader = data.DataModule("imagenet", {"path": str(folder), "size": 16}, batch_size=36).train_dataloader()
    with pytest.raises(OnebitError) as caught:
        next(iter(loader))
    assert any(caught.value.message.startswith(name) for name in names)
    with pytest.raises(OnebitError) as caught:
        data.create("imagenet", path=folder).check()
    assert caught.value.message.startswith("3 images cannot be read")
    assert all(name in caught.value.message for name in names)
    options = {"path": str(folder), "size": 16, "on_corrupt": "skip"}
    assert data.create("imagenet", **options).check()["train"] == 33
    whole = data.DataModule("imagenet", {"path": str(tree(tmp_path / "whole")), "size": 16}, batch_size=12)
    module = data.DataModule("imagenet", options, batch_size=12, num_workers=2)
    batches = list(module.train_dataloader())
    assert sum(len(images) for images, _ in batches) == 33
    assert set(module.skipped) == set(names)
    assert "DOS attack" in module.skipped[names[2]]
    kept = torch.cat([images for images, _ in batches])
    expected = torch.cat([images for images, _ in whole.train_dataloader()])
    assert all((expected == image).flatten(1).all(1).any() for image in kept), "the others are as they would be"


def test_a_batch_of_nothing_but_damage_is_an_error(tmp_path):
    folder = tree(tmp_path)
    for file in folder.glob("train/*/*.JPEG"):
        file.write_bytes(b"")
    options = {"path": str(folder), "size": 16, "on_corrupt": "skip"}
    with pytest.raises(OnebitError, match="6 of the 6 images of a batch cannot be read"):
        next(iter(data.DataModule("imagenet", options, batch_size=6).train_dataloader()))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_shards_in_a_folder_that_cannot_be_written_to(tmp_path):
    folder = shards(tmp_path)
    folder.chmod(0o555)
    assert len(data.create("imagenet_shards", path=folder).train_images) == 36
    assert not list(folder.glob(f"*{INDEX}"))


def test_a_sample_of_the_training_part(tmp_path):
    made = data.create("imagenet_shards", path=shards(tmp_path), size=16)
    images, labels = made.sample(5)
    assert (images.shape, images.dtype) == ((5, 3, 16, 16), torch.uint8)
    assert labels.tolist() == made.train_images.labels[[0, 8, 17, 26, 35]].tolist()
    assert len(made.sample(100)[0]) == 36
