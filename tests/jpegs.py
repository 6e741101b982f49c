"""The digits as small JPEG files of several sizes: a tree of folders and shards like ImageNet's."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def jpegs(count: int, start: int = 0, classes: int = 3) -> list[tuple[str, int, bytes]]:
    """Key, label and JPEG of some digits below ``classes``, the keys in the order of the labels."""
    digits = load_digits()
    chosen = [i for i in range(len(digits.target)) if digits.target[i] < classes][start : start + count]
    made = []
    for i in chosen:
        grey = Image.fromarray((digits.images[i] * 15).astype(np.uint8)).resize((20 + i % 5, 24 - i % 3))
        content = io.BytesIO()
        Image.merge("RGB", [grey, grey.rotate(3), grey]).save(content, "JPEG", quality=95)
        made.append((f"{digits.target[i]}_{i:04}", int(digits.target[i]), content.getvalue()))
    return sorted(made)


def tree(folder: Path, train: int = 36, val: int = 10) -> Path:
    """``train/n0000000<label>/*.JPEG`` and ``val/`` the same."""
    for part, start, count in (("train", 0, train), ("val", train, val)):
        for key, label, content in jpegs(count, start):
            place = folder / part / f"n0000000{label}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{key}.JPEG").write_bytes(content)
    return folder


def shard(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    """A tar of these files."""
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def samples(made: list[tuple[str, int, bytes]]) -> list[tuple[str, bytes]]:
    """The members that are these images."""
    return [
        member
        for key, label, content in made
        for member in ((f"{key}.jpg", content), (f"{key}.cls", str(label).encode()), (f"{key}.json", b"{}"))
    ]


def shards(folder: Path, train: int = 36, val: int = 10, each: int = 12) -> Path:
    """``train-00000N.tar`` and ``val-00000N.tar`` of ``each`` samples, with ``classes.txt``."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, start, count in (("train", 0, train), ("val", train, val)):
        made = jpegs(count, start)
        for number in range(0, count, each):
            shard(folder / f"{part}-{number // each:06}.tar", samples(made[number : number + each]))
    (folder / "classes.txt").write_text("n00000000\nn00000001\nn00000002\n")
    return folder
