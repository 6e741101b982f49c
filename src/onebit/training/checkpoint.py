"""Checkpoints: written atomically, read as untrusted files, and rebuilt into networks."""

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import nn

from onebit.errors import OnebitError
from onebit.files import atomic_file
from onebit.format.layout import MAGIC
from onebit.training.build import make_method, make_net

_KEYS: dict[str, type | tuple[type, ...]] = {
    "model": dict,
    "method": (dict, type(None)),
    "data": dict,
    "classes": list,
    "samples": list,
    "shape": list,
    "mean": list,
    "std": list,
    "recipe": dict,
    "step": int,
    "seed": int,
}


def load_checkpoint(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuilds the trained network of a checkpoint, its method included.

    Args:
        path: a checkpoint of ``onebit train``. It is data: nothing in it is executed.

    Returns:
        the network in evaluation mode on the CPU, and the checkpoint's ``onebit`` entry: ``model``, ``method``,
        ``data``, ``classes``, ``samples``, ``shape``, ``mean``, ``std``, ``recipe``, ``step``, ``seed``.

    Raises:
        OnebitError: the file is missing, damaged, or not a checkpoint of onebit, or its weights do not fit its model.

    Example:
        >>> load_checkpoint("nowhere.ckpt")
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: nowhere.ckpt: no such checkpoint (a run leaves best.ckpt and last.ckpt in its folder)
    """
    content = read_checkpoint(path)
    info = content["onebit"]
    again = "it was written by another version, or is damaged"
    try:
        net = make_net(info["model"]["name"], info["model"]["options"], len(info["classes"]), tuple(info["shape"]))
        if info["method"] is not None:
            method = make_method(info["method"]["class_path"], info["method"]["init_args"], trusted=False)
            method.attach(net)
        weights = {name.removeprefix("net."): w for name, w in content["state_dict"].items() if name.startswith("net.")}
        net.load_state_dict(weights, strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as problem:
        raise OnebitError(f"{path}: the weights do not fit the model: {problem}", hint=again) from problem
    return net.eval(), info


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a whole checkpoint, with its tensors on the CPU, and checks its ``onebit`` entry.

    Raises:
        OnebitError: the file is missing, damaged, or not a checkpoint of onebit.
    """
    content = read_tensors(path, missing="a run leaves best.ckpt and last.ckpt in its folder")
    info = content.get("onebit") if isinstance(content, dict) else None
    if not isinstance(info, dict) or not isinstance(content.get("state_dict"), dict):
        raise OnebitError(f"{path} is not a checkpoint of onebit", hint="make one with: onebit train RECIPE")
    for key, kind in _KEYS.items():
        if not isinstance(info.get(key), kind):
            raise OnebitError(
                f"{path}: its entry onebit.{key} is missing or of a wrong kind", hint="the file is damaged"
            )
    _check_numbers(path, info)
    return content


def read_tensors(path: str | Path, missing: str) -> Any:
    """Reads what ``torch.save`` wrote: tensors, which are put on the CPU, and plain containers only.

    Args:
        path: the file.
        missing: the hint of the error if the file is missing.

    Raises:
        OnebitError: the file is missing or damaged.
    """
    file = Path(path)
    if not file.is_file():
        raise OnebitError(f"{path}: no such checkpoint", hint=missing)
    whole = file.read_bytes()
    if whole.startswith(MAGIC):
        raise OnebitError(f"{path} is a packed model, not a checkpoint", hint="run and evaluate it as it is")
    try:
        return torch.load(BytesIO(whole), map_location="cpu", weights_only=True)
    except Exception as problem:  # torch raises many kinds for a damaged file
        raise OnebitError(
            f"{path} is damaged or not a checkpoint", hint="train again, or take another file"
        ) from problem


def write_checkpoint(path: str | Path, content: dict[str, Any]) -> None:
    """Writes the file atomically: a full disk or a power cut leaves the old file."""
    whole = BytesIO()  # torch.save to a file hides the disk's error behind one of its own
    torch.save(content, whole)
    with atomic_file(path, force=True) as temporary:
        temporary.write_bytes(whole.getbuffer())


def _check_numbers(path: str | Path, info: dict[str, Any]) -> None:
    shape = info["shape"]
    if len(shape) != 3 or not all(type(n) is int and 0 < n <= 1 << 16 for n in shape):
        raise OnebitError(f"{path}: its image shape is {shape}", hint="the file is damaged")
    for key in ("mean", "std"):
        if len(info[key]) != shape[0] or not all(isinstance(v, float) and math.isfinite(v) for v in info[key]):
            raise OnebitError(f"{path}: its {key} is {info[key]}", hint="the file is damaged")
    if not info["classes"] or len(info["classes"]) != len(info["samples"]):
        raise OnebitError(f"{path}: classes and samples do not match", hint="the file is damaged")
