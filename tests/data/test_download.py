"""Downloads from a real server on loopback, well-behaved and not."""

import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from onebit import data
from onebit.data import download
from onebit.data.cifar import CIFAR10
from onebit.data.dataset import Source
from onebit.data.mnist import MNIST
from onebit.errors import OnebitError

from .server import serving

ARCHIVE = "cifar-10-python.tar.gz"
CONTENT = np.random.default_rng(0).bytes(300_000)  # does not compress


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def server(monkeypatch):
    """Serves a small archive in the place of CIFAR-10's; `publish` replaces it and its checksum."""
    with serving({}) as state:

        def publish(content: bytes, md5: str | None = None) -> None:
            state.files[ARCHIVE] = content
            checksum = md5 or hashlib.md5(content).hexdigest()
            source = Source((state.url,), {ARCHIVE: checksum}, "cifar-10-batches-py")
            monkeypatch.setattr(CIFAR10, "source", source)

        state.publish = publish
        publish(packed({"cifar-10-batches-py/data_batch_1": CONTENT}))
        yield state


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_success(server, tmp_path, capfd):
    folder = data.get("cifar10", tmp_path)
    assert folder == tmp_path / "cifar10" / "cifar-10-batches-py"
    assert (folder / "data_batch_1").read_bytes() == CONTENT
    assert everything(tmp_path) == ["cifar10/cifar-10-batches-py/data_batch_1"], "the archive is not kept"
    assert data.create("cifar10", root=tmp_path).folder() == folder
    assert capfd.readouterr().out == "", "stdout is for results"
    data.get("cifar10", tmp_path)
    assert len(server.log) == 1, "what is there is not fetched again"


def test_the_root_is_that_of_the_data_sets(server, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEBIT_DATA", str(tmp_path / "new"))
    assert data.get("cifar10").is_relative_to(tmp_path / "new")


def test_another_address(server, tmp_path, monkeypatch):
    source = CIFAR10.source
    monkeypatch.setattr(CIFAR10, "source", Source(("http://127.0.0.1:9/",), source.files, source.unpacked))
    assert data.get("cifar10", tmp_path, server.url.rstrip("/")).is_dir()


def test_the_next_official_address_is_tried(server, tmp_path, monkeypatch):
    source = CIFAR10.source
    addresses = (f"{server.url}elsewhere/", server.url)
    monkeypatch.setattr(CIFAR10, "source", Source(addresses, source.files, source.unpacked))
    assert data.get("cifar10", tmp_path).is_dir()
    assert [name for name, _, _ in server.log] == [f"elsewhere/{ARCHIVE}", ARCHIVE]


def test_files_that_are_used_as_they_are(server, tmp_path, monkeypatch):
    server.files |= {"a.gz": b"first", "b.gz": b"second"}
    checksums = {name: hashlib.md5(server.files[name]).hexdigest() for name in ("a.gz", "b.gz")}
    monkeypatch.setattr(MNIST, "source", Source((server.url,), checksums))
    assert data.get("mnist", tmp_path) == tmp_path / "mnist"
    assert everything(tmp_path) == ["mnist/a.gz", "mnist/b.gz"]
    (tmp_path / "mnist" / "b.gz").write_bytes(b"damaged")
    data.get("mnist", tmp_path)
    assert [name for name, _, _ in server.log] == ["a.gz", "b.gz", "b.gz"], "only the damaged one is fetched again"
    assert (tmp_path / "mnist" / "b.gz").read_bytes() == b"second"


def test_a_wrong_checksum_is_an_error_and_the_file_is_removed(server, tmp_path):
    server.publish(server.files[ARCHIVE], md5="0" * 32)
    with pytest.raises(OnebitError, match=rf"{ARCHIVE} is not the published file: its checksum is wrong"):
        data.get("cifar10", tmp_path)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("cuts", [[100_000], [100_000, 50_000]])
def test_a_transfer_that_breaks_off_goes_on_with_the_rest(server, tmp_path, cuts):
    size = len(server.files[ARCHIVE])
    server.cuts = list(cuts)
    folder = data.get("cifar10", tmp_path)
    assert (folder / "data_batch_1").read_bytes() == CONTENT
    starts = [None, *np.cumsum(cuts).tolist()]
    assert server.log == [(ARCHIVE, start, sent) for start, sent in zip(starts, [*cuts, size - sum(cuts)], strict=True)]


def test_a_transfer_that_was_given_up_goes_on_in_the_next_run(server, tmp_path):
    size = len(server.files[ARCHIVE])
    server.cuts = [100_000, 0, 0]
    with pytest.raises(OnebitError, match="the connection broke off") as caught:
        data.get("cifar10", tmp_path)
    assert "goes on after 100,000 bytes" in caught.value.hint
    assert everything(tmp_path) == [f"cifar10/{ARCHIVE}.part"], "nothing has the name of the whole"
    with pytest.raises(OnebitError, match="is not in"):
        data.create("cifar10", root=tmp_path).train()
    server.log.clear()
    assert (data.get("cifar10", tmp_path) / "data_batch_1").read_bytes() == CONTENT
    assert server.log == [(ARCHIVE, 100_000, size - 100_000)]
    assert everything(tmp_path) == ["cifar10/cifar-10-batches-py/data_batch_1"]


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    server.ranges, server.cuts = False, [100_000]
    assert (data.get("cifar10", tmp_path) / "data_batch_1").read_bytes() == CONTENT
    assert server.log[1] == (ARCHIVE, None, len(server.files[ARCHIVE]))


def test_the_rest_of_another_file_is_found_out_and_the_next_run_succeeds(server, tmp_path):
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / f"{ARCHIVE}.part").write_bytes(b"x" * 1000)
    with pytest.raises(OnebitError, match="checksum"):
        data.get("cifar10", tmp_path)
    assert everything(tmp_path) == []
    assert data.get("cifar10", tmp_path).is_dir()


def test_more_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / f"{ARCHIVE}.part").write_bytes(b"x" * 10**6)
    assert (data.get("cifar10", tmp_path) / "data_batch_1").read_bytes() == CONTENT


def test_no_such_file(server, tmp_path):
    del server.files[ARCHIVE]
    with pytest.raises(OnebitError, match=f"{ARCHIVE}: the server answers 404") as caught:
        data.get("cifar10", tmp_path)
    assert "--url" in caught.value.hint
    assert everything(tmp_path) == []


def test_no_server(server, tmp_path):
    with pytest.raises(OnebitError, match="no connection"):
        data.get("cifar10", tmp_path, "http://127.0.0.1:9/")


@pytest.mark.parametrize("name", ["../evil", "/tmp/onebit-evil", "cifar-10-batches-py/../../evil"])
def test_an_archive_cannot_write_outside(server, tmp_path, name):
    root = tmp_path / "root"
    server.publish(packed({"cifar-10-batches-py/data_batch_1": b"x", name: b"evil"}))
    try:
        data.get("cifar10", root)
    except OnebitError as refused:
        assert "cannot be unpacked" in refused.message  # noqa: PT017
    assert everything(tmp_path) in ([f"root/cifar10/{ARCHIVE}"], ["root/cifar10/cifar-10-batches-py/data_batch_1"])
    assert not Path("/tmp/onebit-evil").exists()


def test_a_link_that_leads_out_is_refused(server, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        link = tarfile.TarInfo("cifar-10-batches-py")
        link.type, link.linkname = tarfile.SYMTYPE, "../../.."
        tar.addfile(link)
    server.publish(buffer.getvalue())
    with pytest.raises(OnebitError, match="cannot be unpacked"):
        data.get("cifar10", tmp_path / "root")


@pytest.mark.parametrize("content", [b"not an archive", packed({"other/file": b"x"})], ids=["no tar", "other content"])
def test_an_archive_of_something_else_is_refused(server, tmp_path, content):
    server.publish(content)
    with pytest.raises(OnebitError, match=ARCHIVE):
        data.get("cifar10", tmp_path)
    assert everything(tmp_path) == [f"cifar10/{ARCHIVE}"]


def test_too_little_space_is_said_before_anything_is_written(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))
    with pytest.raises(OnebitError, match=r"is full: 300,\d+ bytes are needed and 0 are free"):
        data.get("cifar10", tmp_path)
    assert everything(tmp_path) == []


def test_a_disk_that_fills_up_in_the_transfer(server, small_disk, monkeypatch):
    (small_disk / "other").write_bytes(bytes(300_000))
    monkeypatch.setattr(download._Resuming, "_check_space", lambda *_: None)  # as if another program took the rest
    with pytest.raises(OnebitError, match=r"the disk of .* is full"):
        data.get("cifar10", small_disk)
    assert everything(small_disk) == ["other"]


def test_a_disk_that_fills_up_while_unpacking(server, small_disk):
    with pytest.raises(OnebitError, match=r"the disk of .* is full"):
        data.get("cifar10", small_disk)
    assert everything(small_disk) == [f"cifar10/{ARCHIVE}"], "the verified archive stays, nothing half-unpacked"


@pytest.mark.parametrize("name", ["digits", "folder", "cifar100_subset"])
def test_a_set_without_an_address(name):
    with pytest.raises(OnebitError, match="no address"):
        data.get(name)


def test_an_unwritable_place(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OnebitError, match="cannot make"):
        data.get("cifar10", tmp_path / "file")
