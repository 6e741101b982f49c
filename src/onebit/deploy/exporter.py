"""A trained network to an ``.obn`` file."""

import getpass
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from onebit import __version__
from onebit.deploy import calibrate
from onebit.deploy.fold import fold
from onebit.deploy.int8 import Agreement, quantize
from onebit.deploy.intervals import insert_intervals
from onebit.deploy.report import Report, rows
from onebit.deploy.tail import Teachable, describe, summary, tail_nodes
from onebit.deploy.trace import Trace, trace
from onebit.deploy.verify import trial_images, verify_file, verify_layers
from onebit.errors import OnebitError
from onebit.files import check_target
from onebit.format.graph import Graph, Node
from onebit.format.layout import Meta
from onebit.format.writer import serialize, write
from onebit.nn import BinaryLayer, quantized_layers
from onebit.nn.evaluating import evaluating

REAL_VALUED = ("float32", "int8")


def export(
    net: nn.Module,
    path: str | os.PathLike[str],
    example: Tensor,
    *,
    classes: Sequence[str] = (),
    samples: Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize: int | None = None,
    provenance: Mapping[str, Any] | None = None,
    calibration: Tensor | None = None,
    real_valued: str = "float32",
    int8_tolerance: float = 0.0,
    teachable: Teachable | None = None,
    force: bool = False,
) -> Report:
    """Packs a network into an ``.obn`` file, whose outputs are those of the network in evaluation mode.

    Binary layers agree bit for bit; the rest is computed in binary32, so logits agree to rounding. With
    ``real_valued="int8"`` only the top-1 on the calibration images is guaranteed, except for the share
    ``int8_tolerance``: see :mod:`onebit.deploy.int8`.

    Args:
        net: on the CPU; its mode is left as it is. Its dense layer in the attribute ``head`` marks the features.
        path: the file to write.
        example: float32 (N, C, H, W), normalised as in training; its sides become those of the file. Two are used: on
            them each quantiser is checked, so real images are better than noise.
        classes: names in the order of the logits.
        samples: how many training images each class had.
        mean, std: the normalisation is ``(pixel / 255 - mean) / std``, one number per channel; 0 and 1 if none.
        resize: how the network was evaluated: an image's shorter side becomes this many pixels and the centre is cut;
            none if images are stretched to the network's size.
        provenance: JSON-able; who trained it with what. Time, user and versions are added under ``exported``.
        calibration: images as ``example``, over which the ranges of the features and of the inputs of int8 layers are
            measured and on which int8 is checked; ``example`` if none. For int8 give real ones, some hundreds.
        real_valued: numbers of the layers that are not binary: "float32", or "int8" for as many as can be without
            changing the top-1 of a calibration image.
        int8_tolerance: share of the calibration images, from 0 to 1, whose top-1 may change.
        teachable: also write what a device needs to train the part behind the network's
            :class:`~onebit.nn.LatentSign`.
        force: replace a file that exists.

    Returns:
        What was packed and what not.

    Raises:
        OnebitError: a layer cannot be exported (it is named), the arguments do not fit the network, or the file exists.

    Example:
        >>> from onebit import models
        >>> folder = getfixture("tmp_path")
        >>> report = export(models.create("small"), folder / "m.obn", example=torch.randn(1, 1, 8, 8))
        >>> report.layers[0].name, report.layers[0].why
        ('stem.0', 'first layer: real-valued input')
    """
    if real_valued not in REAL_VALUED:
        raise OnebitError(f"real_valued is {real_valued!r}", hint=f"give one of: {', '.join(REAL_VALUED)}")
    if not 0 <= int8_tolerance <= 1:
        raise OnebitError(f"int8_tolerance is {int8_tolerance}", hint="give a share from 0 to 1")
    check_target(path, force=force)
    means, stds = _numbers("mean", mean), _numbers("std", std)
    names, counts = _texts(classes), None if samples is None else _counts(samples)
    origin = _json(provenance or {})
    _check_tensors(net, example, calibration)
    images = example if calibration is None else calibration
    tried = trial_images(example)
    with evaluating(net), torch.no_grad():
        traced, notes = _folded(net, example[:2], teachable is not None)
        graph = traced.graph
        verified = verify_layers(net, traced, graph, tried)
    trained = [] if teachable is None else tail_nodes(graph)
    if teachable is not None and teachable.images is not None:
        _check_images("teachable.images", teachable.images)
    _check_labels(graph, names, counts)
    _check_normalisation(graph, means, stds)
    if means is None:
        notes.append("no mean and std: a prediction gives the network pixels / 255 as they are")
    if not names:
        notes.append("no class names: a prediction names the numbers of the logits")
    if resize is not None and not max(graph.input.h, graph.input.w) <= resize < 2**32:
        raise OnebitError(
            f"resize is {resize} for images of {graph.input.h} x {graph.input.w}", hint="the centre is cut from more"
        )

    agreement: Agreement | None = None
    remarks: dict[Node, str] = {}
    if real_valued == "int8":
        agreement, remarks = quantize(graph, images, _pixels(means, stds), int8_tolerance, trained)
        notes.append(str(agreement))
    layers = rows(graph, net, remarks)
    meta: dict[str, Meta] = {}
    if "features" in graph.outputs:
        meta["features.range"] = np.array(calibrate.ranges(graph, images, [graph.outputs["features"]])[0], np.float32)
    extra: list[NDArray[Any]] = []
    if teachable is not None:
        entries, extra = describe(graph, images, teachable)
        meta.update(entries)
        notes.append(summary(graph, teachable))
    meta["classes"] = names
    if counts is not None:
        meta["classes.samples"] = np.asarray(counts, np.uint32)
    if means is not None and stds is not None:
        meta["input.mean"], meta["input.std"] = np.asarray(means, np.float32), np.asarray(stds, np.float32)
    if resize is not None:
        meta["input.resize"] = np.array([resize], np.uint32)
    meta["provenance"] = json.dumps({**origin, "exported": _exported()}, sort_keys=True)
    told = {"layers": [vars(layer) for layer in layers], "notes": notes}
    meta["report"] = json.dumps(told if agreement is None else {**told, "int8": vars(agreement)})
    verified = replace(verified, isas=verify_file(serialize(graph, meta, extra), tried))
    length = write(path, graph, meta, extra, force=force)
    return Report(os.fspath(path), length, layers, notes, verified, agreement)


def build(net: nn.Module, example: Tensor, *, cut: bool = False) -> Graph:
    """The folded graph of a network, ready to be written.

    With ``cut``, the output of its :class:`~onebit.nn.LatentSign` is the output ``latents``; for the other arguments
    see :func:`export`.
    """
    with evaluating(net), torch.no_grad():
        return _folded(net, example[:2], cut)[0].graph


def _folded(net: nn.Module, example: Tensor, cut: bool) -> tuple[Trace, list[str]]:
    """The network's trace with its graph folded, and remarks on its features."""
    _refuse_k_bits(net)
    traced = trace(net, example)
    graph = traced.graph
    if not cut:
        graph.outputs.pop("latents", None)
    insert_intervals(graph)
    notes = ["the softmax at the end is left away: the file's 'logits' are what enters it"] * traced.softmax
    features = graph.outputs.get("features")
    before = graph.producer(features) if features is not None else None
    fold(graph)
    graph.remove_dead()
    graph.check()
    if features is None:
        notes.append("the network has no attribute 'head': the file has no output 'features', so it cannot learn")
        return traced, notes
    if before is not None and graph.outputs["features"] is not features:
        notes.append(f"the output 'features' is the input of '{before.name}', which is part of the head's weights")
    if features.h * features.w > 1:
        notes.append(
            f"the output 'features' is {features.h} x {features.w} pixels; a learner takes 1 x 1: it cannot learn"
        )
    return traced, notes


def _pixels(mean: Sequence[float] | None, std: Sequence[float] | None) -> tuple[float, float] | None:
    """The range of ``(pixel / 255 - mean) / std``."""
    if mean is None or std is None:
        return None
    bounds = [(pixel - m) / s for m, s in zip(mean, std, strict=True) for pixel in (0, 1)]
    return min(bounds), max(bounds)


def _exported() -> dict[str, str]:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no name for this user id
        user = ""
    return {"at": now, "by": user, "onebit": __version__, "torch": torch.__version__}


def _refuse_k_bits(net: nn.Module) -> None:
    """The format has no step function of several levels, without which the file would compute something else."""
    for name, layer in quantized_layers(net):
        if not isinstance(layer, BinaryLayer):
            bits = getattr(layer.input_quantizer, "precision", "few")
            raise OnebitError(
                f"layer '{name}' ({type(layer).__name__}) cannot be exported: its input has {bits} bits, "
                "and the format has binary and real-valued layers only",
                hint="measure the checkpoint with onebit evaluate; to pack a network, train it binary",
            )


def _check_tensors(net: nn.Module, example: Tensor, calibration: Tensor | None) -> None:
    for what, images in (("example", example), ("calibration", calibration)):
        if images is not None:
            _check_images(what, images)
    for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
        if tensor.device.type != "cpu":
            raise OnebitError(f"the network's '{name}' is on {tensor.device}", hint="call net.cpu() first")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise OnebitError(
                f"the network's '{name}' has values that are not finite", hint="export an earlier checkpoint"
            )


def _check_images(name: str, images: Tensor) -> None:
    if images.dim() != 4 or images.dtype != torch.float32 or len(images) == 0:
        raise OnebitError(
            f"{name} is {tuple(images.shape)} of {images.dtype}", hint="give float32 images (N, C, H, W), one at least"
        )
    if not bool(images.isfinite().all()):
        raise OnebitError(f"{name} has values that are not finite", hint="give real images, normalised as in training")


def _numbers(name: str, values: Sequence[float] | None) -> list[float] | None:
    if values is None:
        return None
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    if numbers.ndim != 1:
        raise OnebitError(f"{name} is {values!r}", hint="give a list of numbers, one per channel")
    return numbers.tolist()


def _texts(classes: Sequence[str]) -> list[str]:
    names = list(classes)
    for name in names:
        if not isinstance(name, str):
            raise OnebitError(f"the class name {name!r} is no text", hint="give texts, such as str(name)")
        if "\0" in name:
            raise OnebitError("a class name holds a NUL character", hint="give plain names")
    return [str(name) for name in names]


def _counts(samples: Sequence[int]) -> list[int]:
    counts = np.asarray(samples)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or not all(0 <= count < 2**32 for count in counts.tolist()):
        raise OnebitError(f"samples is {samples!r}", hint="give how many training images each class had")
    return counts.tolist()


def _json(provenance: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(dict(provenance), allow_nan=False))
    except (TypeError, ValueError) as problem:
        raise OnebitError(f"provenance is no JSON: {problem}", hint="give texts and numbers") from problem


def _check_labels(graph: Graph, classes: Sequence[str], samples: Sequence[int] | None) -> None:
    count = graph.outputs["logits"].c
    if classes and len(classes) != count:
        raise OnebitError(f"{len(classes)} class names for {count} logits", hint="give one name a logit")
    if samples is not None and len(samples) != len(classes):
        raise OnebitError(f"{len(samples)} sample counts for {len(classes)} classes", hint="give one per class")


def _check_normalisation(graph: Graph, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    if mean is None or std is None:
        if mean is not std:
            raise OnebitError("mean and std belong together", hint="give both or none")
        return
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != graph.input.c:
            raise OnebitError(
                f"{len(values)} numbers in {name} for {graph.input.c} channels", hint="give one per channel"
            )
    if not np.isfinite([*mean, *std]).all() or not all(value > 0 for value in std):
        raise OnebitError(f"mean {mean} and std {std} do not normalise", hint="give finite numbers, std above 0")
    if min(mean) > 1 and min(std) > 1:
        raise OnebitError(
            f"mean {mean} and std {std} are those of pixels from 0 to 255", hint="divide both by 255: pixels are 0 to 1"
        )
