"""ImageNet, and any set of images, as numbered WebDataset shards."""

import re
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from onebit.data.image_file_set import ImageFileSet
from onebit.data.image_files import ImageFiles
from onebit.data.tar import name_at, read_index
from onebit.errors import OnebitError

CLASSES = "classes.txt"


class ImageNetShards(ImageFileSet):
    """``*train*.tar`` and ``*val*.tar`` (or ``train/*.tar`` and ``val/*.tar``) with ``KEY.jpg`` and ``KEY.cls`` inside.

    ``KEY.cls`` is the class as a number from 0. Their names are the lines of ``classes.txt`` beside the shards; without
    it they are the numbers, up to the highest in the training part. Shards whose names end in numbers must be numbered
    without a gap. An index of each shard, 24 bytes per sample, is kept beside it where that can be written.

    Args:
        path: the folder of the shards; by default the first of `folders` under the root. A relative path that does not
            exist by itself starts from the root.
        size, resize, on_corrupt, root: see :class:`onebit.data.image_file_set.ImageFileSet`. With ``skip``, what is
            whole in a damaged shard is used.

    Raises:
        OnebitError: there are no shards, one is missing or damaged, or a label is beyond the classes.

    Example:
        >>> import io, tarfile
        >>> from PIL import Image
        >>> folder = getfixture("tmp_path")
        >>> image = io.BytesIO()
        >>> Image.new("RGB", (40, 30)).save(image, "JPEG")
        >>> for part in ("train", "val"):
        ...     with tarfile.open(folder / f"{part}-000000.tar", "w") as shard:
        ...         for name, content in (("0001.jpg", image.getvalue()), ("0001.cls", b"0")):
        ...             member = tarfile.TarInfo(name)
        ...             member.size = len(content)
        ...             shard.addfile(member, io.BytesIO(content))
        >>> small = ImageNetShards(folder, size=32)
        >>> small.classes, len(small.train_images)
        (('0',), 1)
    """

    name = "imagenet_shards"
    folders: ClassVar[tuple[str, ...]] = ("imagenet-shards", "imagenet_shards", "imagenet-wds")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        names = self.folder() / CLASSES
        if names.is_file():
            return tuple(names.read_text(encoding="utf-8", errors="replace").rstrip().splitlines())
        return tuple(map(str, range(int(self.train_images.labels.max()) + 1)))

    def _image_files(self, part: Literal["train", "val"]) -> ImageFiles:
        shards = self._shards(part)
        console = Console(stderr=True)
        scans = []
        for path in track(shards, "indexing shards", console=console, transient=True, disable=not console.is_terminal):
            try:
                scan = read_index(path)
            except OSError as problem:
                self.faults.meet(str(path), problem)
                continue
            for name, reason in scan.faults.items():
                self.faults.meet(name, OnebitError(reason))
            scans.append((path, scan.samples))
        if not sum(len(samples) for _, samples in scans):
            raise OnebitError(f"the shards {shards[0]} ... hold no image", hint="a sample is KEY.jpg and KEY.cls")
        files = _Members(scans)
        if part == "val" or (self.folder() / CLASSES).is_file():
            self._check_labels(files)
        return files

    def _check_labels(self, files: "_Members") -> None:
        foreign = (files.labels >= len(self.classes)).nonzero().flatten()
        if len(foreign):
            number = int(foreign[0])
            raise OnebitError(
                f"{files.name(number)}: its class is {files.labels[number]}, there are {len(self.classes)}",
                hint="classes are numbers from 0, the same in training and validation",
            )

    def _shards(self, part: str) -> list[Path]:
        folder = self.folder()
        found = sorted(folder.glob(f"*{part}*.tar")) or sorted((folder / part).glob("*.tar"))
        if not found:
            raise OnebitError(
                f"{folder} holds no shards *{part}*.tar, nor {part}/*.tar",
                hint="name their folder as data.options.path",
            )
        numbers: dict[str, set[int]] = {}
        for path in found:
            if match := re.fullmatch(r"(.*?)(\d{1,9})", path.stem):
                numbers.setdefault(match[1], set()).add(int(match[2]))
        for stem, own in numbers.items():
            for number in sorted(own)[1:]:
                if number - 1 not in own:
                    self.faults.meet(f"{found[0].parent / stem}*{number - 1}.tar", OnebitError("this shard is missing"))
        return found


class _Members(ImageFiles):
    def __init__(self, scans: list[tuple[Path, np.ndarray]]) -> None:
        self.shards = [path for path, _ in scans]
        self.shard = np.repeat(np.arange(len(scans)), [len(samples) for _, samples in scans])
        self.offset, self.size, labels = np.concatenate([samples for _, samples in scans]).T
        self.labels = torch.from_numpy(labels.astype(np.int64))

    def name(self, number: int) -> str:
        return name_at(self.shards[self.shard[number]], int(self.offset[number]))

    def read(self, number: int) -> bytes:
        with open(self.shards[self.shard[number]], "rb") as file:
            file.seek(int(self.offset[number]))
            content = file.read(int(self.size[number]))
        if len(content) < self.size[number]:
            raise OnebitError("its shard was cut off since it was indexed")
        return content
