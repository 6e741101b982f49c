"""Watch a folder and teach: each batch of images that arrives in it is an experience."""

import hashlib
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.errors import OnebitError
from onebit.runtime.image import to_pixels
from onebit.runtime.inbox.images import LabelledImages
from onebit.runtime.inbox.journal import Journal, hash_of
from onebit.runtime.inbox.watch import Watch
from onebit.runtime.learner import Learner, Taught
from onebit.runtime.model import Model

JOURNAL = "taught"


def _warn(path: Path, reason: str) -> None:
    warnings.warn(f"{path}: {reason}; passed over until it changes", stacklevel=3)


def teach_arrivals(
    learner: Learner,
    folder: str | os.PathLike[str],
    name: str | None = None,
    *,
    rest: float = 1.0,
    seconds: float | None = None,
    until_idle: float | None = None,
    skipped: Callable[[Path, str], None] = _warn,
    **options: Any,
) -> Iterator[Taught]:
    """Teaches what arrives in a folder, each image once, batch by batch, and yields the result of each experience.

    What was taught is written down in the learner's folder, so that a later call, or one after a power cut, teaches
    nothing twice. An experience that a gate refused is not tried again.

    Args:
        learner: is taught; it stays open, and locked.
        folder: has a subfolder per class; with ``name`` the images lie in it itself.
        name: the class of all images.
        rest: seconds without a change after which a file is complete.
        seconds: how long to watch; without end by default.
        until_idle: ends when nothing came for so many seconds.
        skipped: is called with the path of a file that cannot be read and the reason; by default it warns.
        options: those of :meth:`onebit.Learner.teach`, except ``experience``.

    Raises:
        OnebitError: there is no such folder, or ``rest`` is negative; while it runs, as :meth:`onebit.Learner.teach`.

    Example:
        >>> from onebit import deploy, load, models
        >>> import torch
        >>> from PIL import Image
        >>> place = getfixture("tmp_path")
        >>> _ = deploy.export(models.create("small"), place / "m.obn", torch.randn(2, 1, 8, 8))
        >>> (place / "inbox" / "cat").mkdir(parents=True)
        >>> Image.new("L", (8, 8)).save(place / "inbox" / "cat" / "a.png")
        >>> with Learner.create(place / "store", load(place / "m.obn")) as learner:
        ...     [taught.new for taught in teach_arrivals(learner, place / "inbox", rest=0.1, until_idle=1)]
        [('cat',)]
    """
    if not rest >= 0:
        raise OnebitError(f"a file rests for {rest} seconds", hint="give 0 or more")
    watch = Watch(Path(folder), name, rest)
    journal = Journal(learner.folder / JOURNAL, learner.counted)

    def experiences() -> Iterator[Taught]:
        began = last = time.monotonic()
        while True:
            batch, now = watch.look(), time.monotonic()
            if len(batch):
                fresh = _fresh(batch, journal, learner.model, skipped)
                if fresh:
                    yield _teach(learner, journal, fresh, options)
                now = time.monotonic()
            if len(batch) or watch.busy:
                last = now
            if (until_idle is not None and now - last >= until_idle) or (
                seconds is not None and now - began >= seconds
            ):
                return
            time.sleep(min(0.2, rest / 2))

    return experiences()


Fresh = dict[str, tuple[NDArray[np.uint8], str]]  # hash -> pixels and class


def _fresh(batch: LabelledImages, journal: Journal, model: Model, skipped: Callable[[Path, str], None]) -> Fresh:
    """The readable images that were not taught before."""
    fresh: Fresh = {}
    for path, name in zip(batch.paths, batch.names, strict=True):
        try:
            content = path.read_bytes()
            digest = hash_of(content, name)
            if digest not in journal and digest not in fresh:
                pixels = to_pixels(content, model.input_shape, model.resize)
                fresh[digest] = (pixels[..., 0] if pixels.shape[2] == 1 else pixels), name
        except OSError as problem:
            skipped(path, problem.strerror or str(problem))
        except OnebitError as problem:
            skipped(path, problem.message)
    return fresh


def _teach(learner: Learner, journal: Journal, fresh: Fresh, options: dict[str, Any]) -> Taught:
    experience = "watch-" + hashlib.sha256("".join(sorted(fresh)).encode()).hexdigest()[:32]
    journal.begin(experience, list(fresh))
    images, names = zip(*fresh.values(), strict=True)
    taught = learner.teach(images, names, experience, **options)
    journal.end(experience)
    return taught
