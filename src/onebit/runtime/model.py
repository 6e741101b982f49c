"""A packed model: an ``.obn`` file, loaded and run."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from onebit import _engine
from onebit.errors import OnebitError
from onebit.runtime.image import to_input
from onebit.runtime.sessions import Sessions

Shape = tuple[int, int, int]
_BULK = 16  # images decoded at a time


@dataclass(frozen=True)
class Layer:
    """One node of a packed graph.

    Attributes:
        name: as in the network it was exported from.
        kind: the operator (``conv_binary``, ``conv_float``, ... in the file format).
        input_shape, output_shape: (C, H, W).
        weight_bits: 1, 32, or 0 without weights.
        bytes: size of its constants in the file.
        operations: multiply-accumulates per sample, those in the padding left out.
        traffic: bytes of its inputs, output and constants, a sample.
    """

    name: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    weight_bits: int
    bytes: int
    operations: int
    traffic: int


@dataclass(frozen=True)
class Prediction:
    """The classification of one image.

    Attributes:
        label: name of the most likely class (its number if the file names no classes).
        index: its position among the logits.
        score: its share of the softmax, 0 to 1.
        scores: float32 (K,), the softmax over all classes.
    """

    label: str
    index: int
    score: float
    scores: NDArray[np.float32]


def load(path: str | os.PathLike[str], *, threads: int = 1, isa: str = "") -> "Model":
    """Loads an ``.obn`` file: reads it, checks all of it, and makes it ready to run.

    Args:
        path: the file.
        threads: threads one call may use.
        isa: an instruction set (see ``onebit doctor``); by default the one in the environment variable ``ONEBIT_ISA``,
            else the best that this CPU has. The results are the same bits on each.

    Raises:
        OnebitError: there is no such file, it is damaged, or the instruction set is not here.

    Example:
        >>> load("missing.obn")
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: missing.obn: No such file or directory (check the path)
    """
    return Model(path, threads=threads, isa=isa)


def _load_again(path: str, threads: int, isa: str, sha256: str) -> "Model":
    model = Model(path, threads=threads, isa=isa if isa in _engine.isas() else "")
    if model.sha256 != sha256:
        raise OnebitError(f"{path} is another model than it was", hint="load it anew")
    return model


class Model:
    """A packed model; see :func:`load`. Several threads may call one model at the same time.

    A model can be pickled and copied: its path is handed on; there the file is loaded, and its hash compared.

    Attributes:
        path: where it was loaded from.
        input_shape: (C, H, W).
        outputs: name -> (C, H, W).
        classes: names in the order of the logits; may be empty.
        class_samples: how many training images each class had, or None.
        features_range: smallest and largest value of the output ``features`` over the calibration images, or None.
        mean, std: one per channel; the network's input is ``(pixel / 255 - mean) / std``.
        resize: an image's shorter side becomes this many pixels and the centre is cut to the network's size; None if an
            image is stretched to it. An image of this size stays as it is.
        provenance: who trained it with what.
        report: the export's report.
        sha256: hash of the graph and the weights, checked when the file was loaded.
        layers: the nodes of the graph in the order in which they run.
        isa: the instruction set it runs on.
        native: the engine's handle, for the learner.
        threads: threads one call may use.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1, isa: str = "") -> None:
        name = os.fsencode(path)
        if b"\0" in name or not name:
            raise OnebitError("a path may not be empty or hold a NUL", hint="name an .obn file")
        if not 1 <= threads <= 256:
            raise OnebitError(f"threads is {threads}, outside 1 to 256", hint="use as many as the CPU has cores")
        self.native = native = _engine.Model(name)
        self.path = Path(path)
        self._place = os.path.abspath(path)  # the working folder may change
        self.threads = threads
        self.input_shape = _channels_first(native.input)
        self.outputs = {output: _channels_first(shape) for output, shape in native.outputs}
        self.classes = tuple(native.classes)
        self.class_samples = native.integers("classes.samples")
        self.features_range = native.floats("features.range")
        channels = self.input_shape[0]
        self.mean = tuple(native.floats("input.mean") or [0.0] * channels)
        self.std = tuple(native.floats("input.std") or [1.0] * channels)
        resize = native.integers("input.resize")
        self.resize = None if resize is None else resize[0]
        self.provenance = self._json(native, "provenance")
        self.report = self._json(native, "report")
        self.sha256: str = native.text("weights.sha256")
        self.layers = tuple(
            Layer(name, kind, _channels_first(before), _channels_first(after), *numbers)
            for name, kind, before, after, *numbers in native.layers
        )
        self.sessions = Sessions(native, threads, isa)
        first = "logits" if "logits" in self.outputs else next(iter(self.outputs))
        with self.sessions.lend(first, 1) as session:
            self.isa: str = session.isa

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process, or a copy, loads the file again."""
        return _load_again, (self._place, self.threads, self.isa, self.sha256)

    def __call__(self, x: NDArray[np.float32], output: str = "logits") -> NDArray[np.float32]:
        """Runs the network.

        Args:
            x: float32 (N, C, H, W), normalised as in training; any N.
            output: which output; only the layers that it needs are run.

        Returns:
            float32 (N, K); (N, C, H, W) if the output is larger than one pixel.

        Raises:
            OnebitError: another shape or dtype, NaN or infinity in ``x``, or no such output.
        """
        results = self.run(self.channels_last(x), output)
        if results.shape[1:3] == (1, 1):
            return results[:, 0, 0]
        return np.ascontiguousarray(results.transpose(0, 3, 1, 2))

    @overload
    def predict(self, image: list[Any] | tuple[Any, ...]) -> list[Prediction]: ...

    @overload
    def predict(self, image: Any) -> Prediction: ...

    def predict(self, image: Any) -> Prediction | list[Prediction]:
        """Names what is on an image, or on each of several.

        Args:
            image: a path, a Pillow image, or an array uint8 (H, W, 3) or (H, W); or a list of them. Each is
                resized as in the evaluation that the network was trained with (``resize``), turned into the network's
                channels and normalised.

        Returns:
            One prediction; for a list, a list of them in its order.

        Raises:
            OnebitError: one is no image, or the model is no classifier.
        """
        if not isinstance(image, list | tuple):
            return self.predict([image])[0]
        if self.outputs.get("logits", (0, 1, 1))[1:] != (1, 1):
            raise OnebitError("the model is no classifier: its logits are larger than one pixel", hint="call it")
        predictions: list[Prediction] = []
        for begin in range(0, len(image), _BULK):
            logits = self.run(self.input_of(image[begin : begin + _BULK]), "logits")
            predictions += map(self._prediction, softmax(logits.reshape(len(logits), -1)))
        return predictions

    def run(self, images: NDArray[np.float32], output: str) -> NDArray[np.float32]:
        """Runs the network in the engine's order, channels last; the runtime's own way, without a copy.

        Args:
            images: float32 (N, H, W, C), normalised as in training.
            output: as for a call.

        Returns:
            float32 (N, h, w, c).

        Raises:
            OnebitError: NaN or infinity in ``images``, or no such output.
        """
        if output not in self.outputs:
            raise OnebitError(f"the model has no output '{output}'", hint=f"its outputs: {', '.join(self.outputs)}")
        if not np.isfinite(images).all():
            sample = int(np.flatnonzero(~np.isfinite(images).reshape(len(images), -1).all(axis=1))[0])
            raise OnebitError(f"sample {sample} of the input has NaN or infinity", hint="look at what made it")
        channels, height, width = self.outputs[output]
        results = np.empty((len(images), height, width, channels), np.float32)
        done = 0
        while done < len(images):
            with self.sessions.lend(output, len(images) - done) as session:
                end = min(done + session.batch, len(images))
                session.run(images[done:end], [results[done:end]])
            done = end
        return results

    def input_of(self, images: Iterable[Any]) -> NDArray[np.float32]:
        """The input of :meth:`run` for images in any form that :meth:`predict` knows; at least one."""
        return np.stack([to_input(image, self.input_shape, self.mean, self.std, self.resize) for image in images])

    def channels_last(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The input of :meth:`run` for float32 (N, C, H, W).

        Raises:
            OnebitError: another shape or dtype.
        """
        self._check(x)
        return _channels_last(x)

    def __repr__(self) -> str:
        return f"Model({str(self.path)!r}, input_shape={self.input_shape}, outputs={self.outputs}, isa={self.isa!r})"

    def _check(self, x: NDArray[np.float32]) -> None:
        expected = f"(N, {', '.join(map(str, self.input_shape))})"
        if not isinstance(x, np.ndarray):
            raise OnebitError(f"a {type(x).__name__} is no numpy array", hint=f"pass float32 {expected}")
        if x.dtype != np.float32:
            raise OnebitError(
                f"the input is {x.dtype} and must be float32", hint="normalise it as in training, or use predict"
            )
        if x.ndim != 4 or x.shape[1:] != self.input_shape:
            raise OnebitError(f"the input has shape {x.shape} and must be {expected}", hint="resize it, or use predict")

    def _prediction(self, scores: NDArray[np.float32]) -> Prediction:
        index = int(scores.argmax())
        return Prediction(self.classes[index] if self.classes else str(index), index, float(scores[index]), scores)

    def _json(self, native: _engine.Model, key: str) -> Any:
        try:
            return json.loads(native.text(key) or "{}")
        except (ValueError, RecursionError) as problem:
            raise OnebitError(
                f"{self.path}: META: {key} is not JSON: {problem}", hint="export the model again"
            ) from problem


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """exp(z - max z) / sum, over the last axis; float32 (..., K).

    Raises:
        OnebitError: a logit is not finite.

    Example:
        >>> softmax(np.zeros(4, np.float32))
        array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """
    if not np.isfinite(logits).all():
        raise OnebitError(
            "the network overflowed: its logits are not finite", hint="is the input normalised as in training?"
        )
    shares = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return (shares / shares.sum(axis=-1, keepdims=True)).astype(np.float32)


def _channels_last(x: NDArray[np.float32]) -> NDArray[np.float32]:
    count, channels, height, width = x.shape
    images = np.empty((count, height, width, channels), np.float32)
    if channels > 4:
        images[:] = x.transpose(0, 2, 3, 1)
    else:  # numpy copies long rows fast, and pixels of a few channels slowly
        for channel in range(channels):
            images[..., channel] = x[:, channel]
    return images


def _channels_first(shape: Shape) -> Shape:
    height, width, channels = shape
    return channels, height, width
