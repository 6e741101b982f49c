"""``onebit learn teach --watch``: each batch of pictures that arrives in a folder is a lesson."""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import Namespace
from numpy.typing import NDArray
from rich.console import Console

import onebit
from onebit.errors import OnebitError
from onebit.runtime.image import to_pixels
from onebit.runtime.ledger import Ledger, hash_of
from onebit.runtime.pictures import Pictures
from onebit.runtime.watch import Watch

_LEDGER = "taught"


def teach_what_arrives(learner: onebit.Learner, args: Namespace, options: dict[str, Any]) -> dict[str, Any]:
    """Looks, teaches and says so on stderr; ends with Ctrl-C, after ``--for`` or after ``--until-idle`` seconds.

    Args:
        learner: stays open, and locked, meanwhile.
        args: of the command: ``watch``, ``name``, ``rest``, ``for``, ``until_idle``.
        options: of :meth:`onebit.Learner.teach`.

    Returns:
        ``lessons``, ``samples`` and ``refused`` (lessons), counted; ``new``, names of classes.
    """
    watch = Watch(Path(args.watch), args.name, args.rest)
    lessons = _Lessons(learner, Ledger(learner.folder / _LEDGER, learner.counted), options)
    began = last = time.monotonic()
    try:
        while True:
            batch, now = watch.look(), time.monotonic()
            if len(batch):
                lessons.teach(batch)
                now = time.monotonic()
            if len(batch) or watch.busy:
                last = now
            if (args.until_idle is not None and now - last >= args.until_idle) or (
                args["for"] is not None and now - began >= args["for"]
            ):
                break
            time.sleep(min(0.2, args.rest / 2))
    except KeyboardInterrupt:
        pass
    return lessons.totals


class _Lessons:
    def __init__(self, learner: onebit.Learner, ledger: Ledger, options: dict[str, Any]) -> None:
        self.learner, self.ledger, self.options = learner, ledger, options
        self.totals: dict[str, Any] = {"lessons": 0, "samples": 0, "refused": 0, "new": []}
        self.console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def teach(self, batch: Pictures) -> None:
        """One experience of what is readable and was not taught before."""
        fresh: dict[str, tuple[NDArray[np.uint8], str]] = {}
        for path, name in zip(batch.paths, batch.names, strict=True):
            try:
                content = path.read_bytes()
                digest = hash_of(content, name)
                if digest not in self.ledger and digest not in fresh:
                    fresh[digest] = self._picture(content), name
            except OSError as problem:
                self.console.print(f"{path}: {problem.strerror}; passed over until it changes")
            except OnebitError as problem:
                self.console.print(f"{path}: {problem.message}; passed over until it changes")
        if not fresh:
            return
        experience = "watch-" + hashlib.sha256("".join(sorted(fresh)).encode()).hexdigest()[:32]
        self.ledger.begin(experience, list(fresh))
        images, names = zip(*fresh.values(), strict=True)
        taught = self.learner.teach(images, names, experience, **self.options)
        self.ledger.end(experience)
        if taught.refused:
            self.totals["refused"] += 1
        elif taught.counted:
            self.totals["lessons"] += 1
            self.totals["samples"] += taught.samples
            self.totals["new"] += taught.new
        what = "refused by the gate" if taught.refused else "learned" if taught.counted else "counted before"
        new = f", new: {', '.join(taught.new)}" if taught.counted and taught.new else ""
        self.console.print(f"{taught.samples} images {what}{new}, {sum(taught.milliseconds.values()):.0f} ms")

    def _picture(self, content: bytes) -> NDArray[np.uint8]:
        pixels = to_pixels(content, self.learner.model.input_shape)
        return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
