"""The learner's Python face: a folder that holds a packed model and what it learned since."""

import hashlib
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit import _engine
from onebit.errors import OnebitError
from onebit.runtime.learner.experience import (
    Stopwatch,
    Taught,
    as_known,
    check_text,
    head_operations,
    labels_of,
    replay_operations,
)
from onebit.runtime.learner.features import Images, features_of
from onebit.runtime.learner.gate import Accuracy, Gate
from onebit.runtime.learner.store import MODEL, STATE, make_store
from onebit.runtime.model import Model, Prediction, load

STEPS, BATCH, LEARNING_RATE, EPOCHS, TAIL_RATE, REPLAYED = _engine.TEACH_DEFAULTS
REPLAY = _engine.REPLAY_DEFAULT
_ONE = 65536  # probability 1 of the native learner


class Learner:
    """A packed model that keeps learning: quantised CWR* on its frozen features, in integers (docs/learner.md).

    The folder holds ``learner.state``, a file of fixed size, and ``model.obn``, a copy of the model. Every change is
    one commit: after a power cut the state is that of the last commit or of the next one. The file is locked against a
    second learner until :meth:`close`. Several threads may use one learner; they take turns. A process that was forked
    from the one that opened it may ask it, but not change it: another process opens the folder itself.

    Names of classes are held in one Unicode form (NFC), so that one typed here and one from another system are the
    same class.

    Where the model has a teachable tail (``onebit export --teachable``), its last blocks learn too, with samples that
    are kept as 1 bit per latent and learned again beside new ones.

    Source: CWR* with hybrid quantisation, Vorabbi et al., arXiv 2308.15308, section 3 and its scripts; binary latent
    replay and quantised backpropagation, arXiv 2401.09916.

    Example:
        >>> Learner.open("missing")
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: missing holds no learner (make one: onebit learn new)

    In use::

        with onebit.Learner.create("store", onebit.load("digits.obn")) as learner:
            learner.teach(["a.png", "b.png"], "seven", experience="monday")
            learner.predict("c.png").label
    """

    def __init__(self, folder: str | os.PathLike[str], model: Model) -> None:
        """Opens the state in ``folder``; use :meth:`open` or :meth:`create`."""
        self.folder = Path(folder)
        self.model = model
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._native = _engine.Learner(os.fsencode(self.folder / STATE), model.native.handle)
        if damaged := self._native.found["damaged"]:
            text = f"{self.folder / STATE}: {damaged} of its commits are damaged; the newest intact one is used"
            warnings.warn(text, stacklevel=3)

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        model: Model,
        *,
        max_classes: int = 64,
        max_experiences: int = 1024,
        history: int = 8,
        seed: int = 0,
        replay: int = REPLAY,
    ) -> "Learner":
        """Makes a learner in a new folder, whole or not at all, and opens it.

        It starts from the model's own classes: their rows are those of its packed head.

        Args:
            folder: does not exist; its parent does.
            model: has the outputs ``features`` and ``logits`` (what ``onebit export`` writes for a classifier).
            max_classes: fixes the file's size, together with the next two and ``replay``.
            max_experiences: ids that are remembered; then the oldest is forgotten.
            history: commits that :meth:`rollback` can go back.
            seed: 64 bits, for the order of samples and for rounding.
            replay: for a model with a teachable tail: how many samples are kept to learn them again. With 0 the head
                alone learns, as it does for every other model.

        Raises:
            OnebitError: the folder exists or cannot be made, or the model is no backbone for a learner.
            OSError: the disk is full.
        """
        make_store(Path(folder), model, max_classes, max_experiences, history, seed, replay)
        return cls(folder, model)

    @classmethod
    def open(cls, folder: str | os.PathLike[str], model: Model | None = None) -> "Learner":
        """Opens a learner that exists.

        Args:
            folder: as given to :meth:`create`.
            model: the model it was made for; by default the copy in the folder.

        Raises:
            OnebitError: there is none, another learner has it open, it belongs to another model, or it is damaged.

        A damaged commit (bytes that changed on the medium) is passed over with a warning; the one before it is used.
        """
        place = Path(folder)
        if not (place / STATE).exists():
            raise OnebitError(f"{place} holds no learner", hint="make one: onebit learn new")
        return cls(place, load(place / MODEL) if model is None else model)

    @property
    def classes(self) -> dict[str, int]:
        """Name of each class -> images that it was taught with (those of the backbone's training included)."""
        with self._lock:
            return dict(self._native.classes)

    @property
    def replay(self) -> tuple[int, int]:
        """Samples that are kept to be learned again, and for how many there is room; (0, 0) without a tail."""
        with self._lock:
            return self._native.replay

    def teach(
        self,
        images: Images,
        names: str | Sequence[str],
        experience: str | None = None,
        *,
        gate: Gate | None = None,
        steps: int = STEPS,
        batch: int = BATCH,
        learning_rate: float = LEARNING_RATE,
        epochs: int = EPOCHS,
        tail_rate: float = TAIL_RATE,
        replayed: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Taught:
        """Learns from some images, new classes and old ones alike, as one commit.

        Args:
            images: paths, Pillow images or arrays uint8 (H, W, 3) or (H, W); or one array float32 (N, C, H, W),
                normalised as in training.
            names: the class of each image, or of all; a name that is not known becomes a new class.
            experience: an id; one that was counted before is not counted again. By default it is made from the
                images' features and names, so that the same call twice counts once.
            gate: held-out images; the experience is committed only if enough of them are then classified right. Else
                nothing changes, and the result says so.
            steps: mini-batches of SGD, 250 unless said otherwise; not used where a tail learns.
            batch: images per mini-batch, 50.
            learning_rate: SGD's; the default, 0.1, suits features whose spread is about 1.
            epochs: over the new images, where a tail learns; 10.
            tail_rate: SGD's on the tail, where one learns; 0.1.
            replayed: replayed samples per mini-batch, where a tail learns; by default 36 of 50.
            progress: is called with (images done, images) while the backbone runs, the gate's images included.

        Raises:
            OnebitError: no image, an image that cannot be read, not one name per image, a name that cannot be used, no
                room for another class, or the learner was opened in another process. Then nothing was learned.
        """
        labels = labels_of(images, names)
        check_text("" if experience is None else experience)
        replayed = max(1, batch * REPLAYED // BATCH) if replayed is None else replayed
        if experience == "" or not all(0 < count < 2**32 for count in (steps, batch, epochs, replayed)):
            raise OnebitError("the experience's id is empty, or steps, batch, epochs or replayed are not above 0")
        self._check_process()
        labels = as_known(labels, self.classes)
        clock = Stopwatch()
        with clock.measure("features"):
            lots = [images] if gate is None else [images, gate.images]
            features, *held_out = features_of(self.model, lots, progress, output=self._native.input)
        if experience is None:
            experience = hashlib.sha256(features.tobytes() + "\0".join(labels).encode()).hexdigest()
        with self._lock:
            known, items, tail = self.classes, self.replay[0], self._native.tail_operations
            before = after = None
            if gate is not None:
                asked = as_known(gate.names, [*known, *labels])
                before = after = Accuracy.of(self._predicted_names(held_out[0]), asked, known)
            with clock.measure("update"):
                training = steps, batch, learning_rate, epochs, tail_rate, replayed
                counted = self._native.prepare(features, labels, experience, *training)
            try:
                classes, refused = self.classes, False
                if counted and gate is not None and before is not None:
                    after = Accuracy.of(self._predicted_names(held_out[0]), asked, known)
                    refused = not gate.passes(before, after)
                with clock.measure("commit"):
                    if counted and not refused:
                        self._native.commit()
            finally:
                self._native.discard()
        backbone = len(labels) * sum(layer.operations for layer in self.model.layers)
        weights = len(classes) * int(np.prod(self.model.outputs["features"]))
        update = head_operations(weights, len(labels), steps, batch)
        if tail:
            update = replay_operations(tail + 3 * weights, len(labels), items, epochs, batch, replayed)
        return Taught(
            experience,
            counted and not refused,
            refused,
            tuple(name for name in classes if name not in known),
            len(labels),
            before,
            after,
            clock.milliseconds,
            {"features": backbone, "update": update if counted else 0},
        )

    def counted(self, experience: str) -> bool:
        """Whether an experience with this id was counted, among the last ``max_experiences``."""
        check_text(experience)
        with self._lock:
            return self._native.counted(experience)

    def predict(self, image: Any) -> Prediction:
        """Names what is on one image (a path, a Pillow image or uint8 (H, W, 3) or (H, W)).

        ``index`` and ``scores`` of the prediction are in the order of :attr:`classes`.

        Raises:
            OnebitError: it is no image, or no class is known.
        """
        (features,) = features_of(self.model, [[image]], output=self._native.input)
        with self._lock:
            names = list(self.classes)
            scores = self._scores(features)[0]
        index = int(scores.argmax())
        return Prediction(names[index], index, float(scores[index]), scores)

    def scores(self, images: Images) -> NDArray[np.float32]:
        """Probabilities of many images, float32 (N, classes), in steps of 1/65536; ``images`` as in :meth:`teach`."""
        (features,) = features_of(self.model, [images], output=self._native.input)
        with self._lock:
            return self._scores(features)

    def forget(self, name: str) -> None:
        """Wipes a class: its row, its count, its samples, and every earlier commit, since those hold them too.

        Raises:
            OnebitError: there is no such class.
        """
        check_text(name)
        self._check_process()
        with self._lock:
            self._native.forget(*as_known([name], self.classes))

    def rename(self, name: str, new_name: str) -> None:
        """Gives a class another name. Earlier commits keep the old one, so that :meth:`rollback` brings it back.

        Raises:
            OnebitError: there is no such class, or the new name is in use or cannot be used.
        """
        check_text(name, new_name)
        self._check_process()
        with self._lock:
            self._native.rename(*as_known([name], self.classes), *as_known([new_name], self.classes))

    def rollback(self, commits: int = 1) -> None:
        """Goes back to the state of ``commits`` commits ago; what was taught since may be taught again.

        Raises:
            OnebitError: that many are not kept.
        """
        if not 0 < commits < 2**32:
            raise OnebitError(f"cannot go back {commits} commits", hint="name a number from 1 on")
        self._check_process()
        with self._lock:
            self._native.rollback(commits)

    def check(self) -> dict[str, int]:
        """Reads every byte of the state again.

        Returns:
            ``bytes`` of the file, ``experiences`` counted, ``commits`` that :meth:`rollback` can go back,
            ``unfinished`` commits that a power cut broke off (harmless), ``damaged`` commits (bytes that changed on the
            medium).

        Raises:
            OnebitError: the newest commit is damaged.
        """
        with self._lock:
            return self._native.check()

    def close(self) -> None:
        """Releases the file and its lock. Nothing needs saving: every change is on the disk already."""
        with self._lock:
            self._native.close()

    def __enter__(self) -> "Learner":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise OnebitError(
            "a learner cannot be copied or handed to another process", hint="close it, and open its folder there"
        )

    def _check_process(self) -> None:
        """After a fork two processes would write to one file, each with its own view of it."""
        if os.getpid() != self._process:
            raise OnebitError(
                f"the learner {self.folder} was opened in another process", hint="open it again in this one"
            )

    def _scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        result = np.empty((len(features), len(self._native.classes)), np.uint32)
        self._native.predict(features, result)
        return result.astype(np.float32) / np.float32(_ONE)

    def _predicted_names(self, features: NDArray[np.float32]) -> list[str]:
        """The most likely class of each; no name if none is known yet."""
        names = list(self.classes)
        return [names[index] for index in self._scores(features).argmax(axis=1)] if names else [""] * len(features)
