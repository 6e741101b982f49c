"""The readers of CIFAR's pickles on made-up and on hostile files."""

import contextlib
import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from onebit import data
from onebit.data.cifar import CIFAR10
from onebit.data.pickles import read_pickle
from onebit.errors import OnebitError

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


class Runs:
    """Unpickled by pickle, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol):
    evil, trace = tmp_path / "evil", tmp_path / "trace"
    evil.write_bytes(pickle.dumps({"data": Runs(trace)}, protocol))
    pickle.loads(evil.read_bytes())["data"].close()
    assert trace.exists(), "the pickle does harm when it is loaded as usual"
    trace.unlink()
    with pytest.raises(OnebitError, match="it asks for"):
        read_pickle(evil)
    assert not trace.exists()


@pytest.mark.parametrize(
    "name", ["os system", "builtins eval", "numpy load", "numpy.core.multiarray fromfile", "numpy f2py.compile"]
)
def test_only_three_names_are_known(tmp_path, name):
    module, attribute = name.split()
    (tmp_path / "evil").write_bytes(f"c{module}\n{attribute}\n(S'x'\ntR.".encode())
    with pytest.raises(OnebitError, match="it asks for"):
        read_pickle(tmp_path / "evil")


@same_folder
@given(
    array=arrays.arrays(np.uint8, arrays.array_shapes(max_dims=3)),
    labels=st.lists(st.integers(-(2**40), 2**40)),
    protocol=st.integers(3, 4),
    column_major=st.booleans(),
)
def test_plain_data_round_trip(tmp_path, array, labels, protocol, column_major):
    stored = np.asfortranarray(array) if column_major else array
    (tmp_path / "a").write_bytes(pickle.dumps({b"data": stored, "labels": labels, b"text": b"x"}, protocol))
    found = read_pickle(tmp_path / "a")
    assert np.array_equal(found["data"], array)
    assert found["labels"] == labels
    assert found["text"] == b"x"


@same_folder
@given(content=st.binary(max_size=60))
def test_noise_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with contextlib.suppress(OnebitError):
        assert isinstance(read_pickle(tmp_path / "a"), dict)


@same_folder
@given(share=st.floats(0, 0.999))
def test_a_cut_off_pickle_is_refused(tmp_path, share):
    content = pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}, 3)
    (tmp_path / "a").write_bytes(content[: int(share * len(content))])
    with pytest.raises(OnebitError, match="not a pickle of plain data"):
        read_pickle(tmp_path / "a")


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros(3, np.int8), np.array([None, 1])], ids=["f8", "i1", "object"])
def test_arrays_of_other_than_bytes_are_refused(tmp_path, array):
    (tmp_path / "a").write_bytes(pickle.dumps({"data": array}, 3))
    with pytest.raises(OnebitError, match="unsigned bytes"):
        read_pickle(tmp_path / "a")


def batch(count=4, **changes):
    content = {
        "data": np.arange(count * 3072).reshape(count, 3072).astype(np.uint8),
        "labels": [i % 10 for i in range(count)],
    }
    return pickle.dumps(content | changes, 3)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A small set in the layout of CIFAR-10 whose checksums are taken for the published ones."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in (*CIFAR10.train_files, *CIFAR10.test_files):
        (folder / name).write_bytes(batch())

    def trust():
        checksums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        monkeypatch.setattr(CIFAR10, "checksums", checksums)
        return data.create("cifar10", root=tmp_path)

    trust.folder = folder
    return trust


def test_rows_are_channel_row_column(small):
    images, labels = small().test()
    assert images.shape == (4, 3, 32, 32)
    assert images[1, 2, 3, 4] == (3072 + 2 * 1024 + 3 * 32 + 4) % 256
    assert labels.tolist() == [0, 1, 2, 3]
    assert len(small().train()[0]) == 20


def test_a_changed_file_is_refused_before_it_is_read(small):
    made = small()
    (small.folder / "test_batch").write_bytes(batch(5))
    with pytest.raises(OnebitError, match=r"test_batch is not the published file"):
        made.test()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": np.zeros((4, 3071), np.uint8)}, "3072"),
        ({"data": [0] * 3072}, "3072"),
        ({"data": None}, "3072"),
        ({"labels": [0, 1, 2]}, "4 integers"),
        ({"labels": [0, 1, 2, 10]}, "label 10 of image 3"),
        ({"labels": [0, 1, 2, -1]}, "label -1"),
        ({"labels": [0, 1, 2, 2**70]}, "label"),
        ({"labels": [0, 1, 2, b"3"]}, "4 integers"),
        ({"labels": None}, "4 integers"),
    ],
)
def test_what_does_not_fit_is_refused(small, changes, message):
    (small.folder / "test_batch").write_bytes(batch(**changes))
    with pytest.raises(OnebitError, match=message):
        small().test()


@pytest.fixture
def subset(tmp_path):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    pixels = np.zeros((4, 3072), np.uint8)
    (folder / "train").write_bytes(pickle.dumps({"data": pixels, "fine_labels": [7, 3, 7, 5]}, 3))
    (folder / "test").write_bytes(pickle.dumps({"data": pixels, "fine_labels": [5, 3, 3, 7]}, 3))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"name{i}" for i in range(100)]}, 3))
    return tmp_path


def test_a_subset_of_cifar100_is_renumbered(subset):
    made = data.create("cifar100_subset", root=subset)
    assert made.classes == ("name3", "name5", "name7")
    assert made.train()[1].tolist() == [2, 0, 2, 1]
    assert made.test()[1].tolist() == [1, 0, 0, 2]
    assert made.note.startswith("3 of the 100 classes")


def test_a_subset_is_compared_with_the_checksums_of_its_root(subset):
    train = subset / "cifar-100-python" / "train"
    listing = f"{hashlib.sha256(train.read_bytes()).hexdigest()}  cifar-100-python/train\n"
    (subset / "SHA256SUMS").write_text(f"{'0' * 64}  elsewhere/train\n{listing}")
    assert len(data.create("cifar100_subset", root=subset).train()[1]) == 4
    (subset / "SHA256SUMS").write_text(f"{'0' * 64}  cifar-100-python/train\n")
    with pytest.raises(OnebitError, match="train is not the published file: its sha256"):
        data.create("cifar100_subset", root=subset).train()


def test_a_subset_is_not_taken_for_cifar100(subset):
    with pytest.raises(OnebitError, match="not the published file"):
        data.create("cifar100", root=subset).train()


def test_a_test_class_that_was_never_trained_is_refused(subset):
    content = {"data": np.zeros((1, 3072), np.uint8), "fine_labels": [9]}
    (subset / "cifar-100-python" / "test").write_bytes(pickle.dumps(content, 3))
    with pytest.raises(OnebitError, match="class 9 does not occur"):
        data.create("cifar100_subset", root=subset).test()
