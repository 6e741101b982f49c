"""The folder of a learner: ``learner.state``, which the native learner keeps, and ``model.obn``, a copy of a model."""

import os
from pathlib import Path

from onebit import _engine
from onebit.errors import OnebitError
from onebit.files import atomic_dir, atomic_file
from onebit.runtime.model import Model, load

STATE, MODEL = "learner.state", "model.obn"


def make_store(
    place: Path, model: Model, max_classes: int, max_experiences: int, history: int, seed: int, replay: int
) -> None:
    """Makes the folder, whole or not at all; arguments and errors are those of :meth:`onebit.Learner.create`."""
    if (place / STATE).exists():
        raise OnebitError(f"{place} holds a learner already", hint="open it, or name another folder")
    if not (0 <= seed < 2**64 and all(0 < n < 2**32 for n in (max_classes, max_experiences, history))):
        raise OnebitError("max_classes, max_experiences and history are above 0, and seed has 64 bits")
    if not 0 <= replay < 2**32:
        raise OnebitError(f"replay is {replay}", hint="give the number of samples to keep, or 0")
    with atomic_dir(place) as temporary:
        with atomic_file(temporary / MODEL) as copy:
            copy.write_bytes(model.path.read_bytes())
        if load(temporary / MODEL).sha256 != model.sha256:
            raise OnebitError(f"{model.path} changed since it was loaded", hint="load it again")
        numbers = max_classes, max_experiences, history, seed, replay
        try:
            _engine.Learner.create(os.fsencode(temporary / STATE), model.native.handle, *numbers)
        except OnebitError as problem:
            raise OnebitError(problem.message.replace(str(temporary), str(place)), problem.hint) from None
