"""What lies where in a shard: an index of a WebDataset tar, made once.

The library ``webdataset`` is not used. It reads shards as streams, divides them among processes and workers and mixes
samples in a buffer, so the order depends on how many workers there are, and going on in the middle of an epoch means
reading everything before it again. Here a sample is (shard, offset, size, label), any sample is read directly, and the
order is :class:`onebit.data.sampler.EpochSampler`'s. Headers are parsed by Python's ``tarfile``.

A sample is what consecutive members share as key, the name up to the first dot of its last part: ``KEY.jpg`` and
``KEY.cls`` (https://github.com/webdataset/webdataset, "The WebDataset Format").
"""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onebit.data.image_files import MAX_BYTES
from onebit.errors import OnebitError
from onebit.files import atomic_file
from onebit.runtime.image import SUFFIXES

INDEX = ".index"
"""The suffix of a shard's index."""
_MAX_CLASSES = 1 << 24
_VERSION = 1
_NUMBERS = np.dtype("<i8")


class Scan(NamedTuple):
    """The samples of a shard.

    Attributes:
        samples: int64 (n, 3): offset and size of the image, label.
        faults: what is wrong, by the name of the shard or of the shard and its member.
    """

    samples: NDArray[np.int64]
    faults: dict[str, str]


def read_index(path: Path) -> Scan:
    """The samples of a shard, from its index beside it if that is of this very shard, else by reading its headers.

    An index without faults is kept, where the folder can be written to. It is no more trusted than the shard.
    """
    status = path.stat()
    stamp = np.array([[_VERSION, status.st_size, status.st_mtime_ns]], _NUMBERS)
    beside = path.with_name(path.name + INDEX)
    try:
        content = beside.read_bytes()
    except OSError:
        content = b""
    if content.startswith(stamp.tobytes()) and len(content) % stamp.nbytes == 0:
        kept = np.frombuffer(content, _NUMBERS).reshape(-1, 3)[1:]
        offset, size, label = kept.T
        whole = (offset >= 0) & (size >= 0) & (size <= MAX_BYTES) & (offset <= status.st_size - size)
        if (whole & (label >= 0) & (label < _MAX_CLASSES)).all():
            return Scan(kept, {})
    scan = scan_shard(path)
    if not scan.faults and os.access(path.parent, os.W_OK):
        with atomic_file(beside, force=True) as temporary:
            temporary.write_bytes(np.concatenate([stamp, scan.samples]).tobytes())
    return scan


def scan_shard(path: Path) -> Scan:
    """Reads the headers of a shard and the label of each sample.

    Nothing is unpacked, so names are labels only. Links, devices and sparse files are faults; so are a sample without
    image or label, and a shard that breaks off.

    Raises:
        OSError: it cannot be read.
    """
    samples: list[tuple[int, int, int]] = []
    faults: dict[str, str] = {}
    with path.open("rb") as file:
        members = _members(path, file, faults)
        for key, own in _grouped(members):
            images = [m for m in own if Path(m.name).suffix.lower() in SUFFIXES]
            labels = [m for m in own if m.name.endswith(".cls")]
            name = member_name(path, images[0].name if images else f"{key}.*")
            if len(images) != 1 or len(labels) != 1:
                faults[name] = (
                    f"a sample of {len(images)} images and {len(labels)} labels (KEY.jpg and KEY.cls are one)"
                )
                continue
            file.seek(labels[0].offset_data)
            text = file.read(min(labels[0].size, 20)).strip()
            if not text.isdigit() or int(text) >= _MAX_CLASSES:
                faults[name] = f"its label is {text[:20]!r}, not a number"
            elif images[0].size > MAX_BYTES:
                faults[name] = f"a file of more than {MAX_BYTES >> 20} MiB is no image to train on"
            else:
                samples.append((images[0].offset_data, images[0].size, int(text)))
    return Scan(np.array(samples, _NUMBERS).reshape(-1, 3), faults)


def member_name(shard: Path, member: str) -> str:
    """The name of a member, for people."""
    return f"{shard}, member {member}"


def name_at(shard: Path, offset: int) -> str:
    """The name of the member whose content starts at ``offset``; slow, for messages."""
    with shard.open("rb") as file:
        for member in _members(shard, file, {}):
            if member.offset_data == offset:
                return member_name(shard, member.name)
    return f"{shard}, byte {offset}"


def _grouped(members: Iterator[tarfile.TarInfo]) -> Iterator[tuple[str, list[tarfile.TarInfo]]]:
    key = ""
    own: list[tarfile.TarInfo] = []
    for member in members:
        folder, _, last = member.name.rpartition("/")
        here = f"{folder}/{last.split('.')[0]}"
        if own and here != key:
            yield key.lstrip("/"), own
            own = []
        key = here
        own.append(member)
    if own:
        yield key.lstrip("/"), own


def _members(path: Path, file: BinaryIO, faults: dict[str, str]) -> Iterator[tarfile.TarInfo]:
    """The plain files of a tar, up to where it breaks."""
    length = path.stat().st_size
    end = -1
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                if member.offset <= end or member.size < 0 or member.offset_data + member.size > length:
                    raise tarfile.ReadError("unexpected end of data")
                end = member.offset
                if member.isreg() and not member.issparse():
                    yield member
                elif not member.isdir():
                    faults[member_name(path, member.name)] = "a link, a device or a sparse file"
            after = archive.offset
    except (tarfile.TarError, OnebitError, ValueError, OverflowError, EOFError) as problem:
        faults[str(path)] = f"not a tar, or a damaged one: {problem}"
        return
    file.seek(after)
    if file.read(512) != bytes(512):
        faults[str(path)] = "cut off: a tar ends with blocks of zeros"
