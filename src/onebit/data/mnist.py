"""MNIST and Fashion-MNIST: 28×28 grey images in the idx format of their publication, plain or gzipped.

LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998. Xiao, Rasul and Vollgraf, "Fashion-MNIST: a
Novel Image Dataset for Benchmarking Machine Learning Algorithms", 2017.
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np
import torch

from onebit.data.dataset import DataSet, Source, Split, check_labels, verify
from onebit.errors import OnebitError

_MAX_UNPACKED = 1032  # bytes that one byte of a gzip file can stand for
_HINT = "delete it and get the data set again"


def read_idx(path: Path) -> np.ndarray:
    """Reads an array of unsigned bytes in the idx format.

    The format: two zero bytes, the type (8: unsigned byte), the number of dimensions, each dimension as a big-endian
    32-bit integer, the elements with the last dimension innermost.

    Args:
        path: an idx file; gzipped if its name ends in ``.gz``.

    Returns:
        uint8, of the shape that the file states.

    Raises:
        OnebitError: the file is not of this format, or holds less or more than it states.

    Example:
        >>> path = getfixture("tmp_path") / "labels"
        >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        >>> read_idx(path)
        array([7, 2, 1], dtype=uint8)
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read(file, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise OnebitError(f"{path}: damaged gzip file: {problem}", hint=_HINT) from problem


def _read(file: BinaryIO | gzip.GzipFile, path: Path) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 4:
        raise OnebitError(f"{path}: not an idx file of unsigned bytes (it begins with {magic.hex(' ')})", hint=_HINT)
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise OnebitError(f"{path}: cut off in its header", hint=_HINT)
    shape = tuple(int(side) for side in np.frombuffer(header, ">u4"))
    stated = math.prod(shape)
    # A hostile file may state any size: nothing is reserved for more than its bytes can unpack to.
    elements = file.read(stated) if stated <= _MAX_UNPACKED * path.stat().st_size else b""
    if len(elements) < stated or file.read(1):
        found = f"only {len(elements)}" if len(elements) < stated else "more"
        raise OnebitError(f"{path}: states {stated} bytes of shape {shape} but holds {found}", hint=_HINT)
    return np.frombuffer(elements, np.uint8).reshape(shape)


class MNIST(DataSet):
    """60,000 training and 10,000 test images of the ten digits."""

    name = "mnist"
    counts = (60_000, 10_000)
    folders: ClassVar[tuple[str, ...]] = ("mnist", "MNIST/raw")
    classes: tuple[str, ...] = tuple("0123456789")
    shape = (1, 28, 28)
    mean = (0.13066048,)
    std = (0.30810781,)
    source = Source(
        addresses=("https://ossci-datasets.s3.amazonaws.com/mnist/",),
        files={
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    )

    def train(self) -> Split:
        return self._pair("train")

    def test(self) -> Split:
        return self._pair("t10k")

    def _pair(self, part: str) -> Split:
        images, images_path = self._file(f"{part}-images-idx3-ubyte")
        labels, labels_path = self._file(f"{part}-labels-idx1-ubyte")
        if images.shape[1:] != self.shape[1:]:
            raise OnebitError(f"{images_path}: its images have the shape {images.shape[1:]}, not (28, 28)", hint=_HINT)
        if labels.shape != images.shape[:1]:
            raise OnebitError(f"{labels_path}: {labels.size} labels for {len(images)} images", hint=_HINT)
        checked = check_labels(labels.tolist(), len(self.classes), labels_path)
        return torch.from_numpy(images[:, None].copy()), checked

    def _file(self, stem: str) -> tuple[np.ndarray, Path]:
        """Reads the unpacked file if it is there, else the gzipped one; only of that the checksum is published."""
        folder = self.folder()
        if (folder / stem).is_file():
            return read_idx(folder / stem), folder / stem
        packed = f"{stem}.gz"
        verify(folder, {packed: self.source.files[packed]})
        return read_idx(folder / packed), folder / packed


class FashionMNIST(MNIST):
    """60,000 training and 10,000 test images of ten kinds of clothing."""

    name = "fashion_mnist"
    folders = ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw")
    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    mean = (0.28604060,)
    std = (0.35302425,)
    source = Source(
        addresses=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        files={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    )
