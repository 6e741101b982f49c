import contextlib
import gzip
import struct

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from onebit import data
from onebit.data import mnist
from onebit.data.mnist import read_idx
from onebit.errors import OnebitError


def idx(array: np.ndarray) -> bytes:
    """The format as its publication describes it."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
bytes_arrays = arrays.arrays(np.uint8, arrays.array_shapes(max_dims=4, max_side=6))


@same_folder
@given(array=bytes_arrays, packed=st.booleans())
def test_idx_round_trip(tmp_path, array, packed):
    path = tmp_path / ("a.gz" if packed else "a")
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    found = read_idx(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, array)
    assert found.shape == array.shape


@same_folder
@given(array=bytes_arrays, packed=st.booleans(), share=st.floats(0, 0.999))
def test_a_cut_off_file_is_refused(tmp_path, array, packed, share):
    content = gzip.compress(idx(array)) if packed else idx(array)
    path = tmp_path / ("a.gz" if packed else "a")
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(OnebitError, match="a"):
        read_idx(path)


@same_folder
@given(content=st.binary(max_size=64), packed=st.booleans())
def test_noise_is_refused_or_read_and_never_a_crash(tmp_path, content, packed):
    path = tmp_path / ("a.gz" if packed else "a")
    path.write_bytes(content)
    with contextlib.suppress(OnebitError):
        assert idx(read_idx(path)) == content


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\0\0\x08\x01\0\0\0\x02\1\2\3", id="more than stated"),
        pytest.param(b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", id="floats"),
        pytest.param(b"\0\0\x08\x00", id="no dimension"),
        pytest.param(b"\0\0\x08\x04" + b"\xff" * 16, id="a size beyond any memory"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(OnebitError, match="a: "):
        read_idx(tmp_path / "a")


def write(folder, part, images, labels):
    (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))


@pytest.fixture
def small(tmp_path):
    """A small set in the layout of MNIST."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    random = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 10)):
        write(folder, part, random.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10)
    return tmp_path


def test_images_and_labels_of_unpacked_files(small):
    images, labels = data.create("mnist", root=small).train()
    assert images.shape == (20, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.tolist() == [*range(10), *range(10)]


def test_a_gzipped_file_must_be_the_published_one(small):
    path = small / "mnist" / "train-images-idx3-ubyte"
    path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    with pytest.raises(OnebitError, match="not the published file"):
        data.create("mnist", root=small).train()


def test_gzipped_files_of_the_right_checksum_are_read(small, monkeypatch):
    import hashlib

    expected = data.create("mnist", root=small).test()
    checksums = {}
    for path in list((small / "mnist").iterdir()):
        packed = gzip.compress(path.read_bytes())
        (small / "mnist" / f"{path.name}.gz").write_bytes(packed)
        checksums[f"{path.name}.gz"] = hashlib.md5(packed).hexdigest()
        path.unlink()
    monkeypatch.setattr(mnist.MNIST, "source", mnist.Source((), checksums))
    images, labels = data.create("mnist", root=small).test()
    assert torch.equal(images, expected[0])
    assert torch.equal(labels, expected[1])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 28, 27), np.uint8), np.zeros(3, np.uint8), "shape"),
        (np.zeros((3, 28, 28), np.uint8), np.zeros(2, np.uint8), "2 labels for 3 images"),
        (np.zeros((3, 28, 28), np.uint8), np.full(3, 10, np.uint8), "label 10 of image 0"),
        (np.zeros((28, 28), np.uint8), np.zeros(28, np.uint8), "shape"),
    ],
)
def test_what_does_not_fit_is_refused(small, images, labels, message):
    write(small / "mnist", "train", images, labels)
    with pytest.raises(OnebitError, match=message):
        data.create("mnist", root=small).train()


def test_check_counts(small):
    with pytest.raises(OnebitError, match="holds 20 training and 10 test"):
        data.create("mnist", root=small).check()
