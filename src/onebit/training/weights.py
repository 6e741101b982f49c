"""Weights from files: those that a run starts from, and its teacher's."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from onebit.data import DataModule
from onebit.errors import OnebitError
from onebit.training.build import make_net
from onebit.training.checkpoint import load_checkpoint, read_tensors
from onebit.training.recipe import InitialConfig, TeacherConfig

_NAMED = 6


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Reads the weights in a file, by their names in the network. Nothing in the file is executed.

    Args:
        path: a checkpoint of ``onebit train``, or a state dict that ``torch.save`` wrote, bare or under ``state_dict``.
            The prefix of ``DataParallel`` is removed, and torch hub's ``fc`` becomes ``head``.

    Raises:
        OnebitError: the file is missing, damaged, or neither of these.

    Example:
        >>> file = getfixture("tmp_path") / "w.pth"
        >>> torch.save({"module.fc.bias": torch.zeros(2)}, file)
        >>> read_weights(file)
        {'head.bias': tensor([0., 0.])}
    """
    content = read_tensors(path, missing="name a checkpoint of onebit train, or a state dict")
    ours = isinstance(content, dict) and "onebit" in content
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(name, str) for name in state):
        raise OnebitError(f"{path} holds no weights", hint="name a checkpoint of onebit train, or a state dict")
    if ours:
        return _tensors(path, {name[4:]: value for name, value in state.items() if name.startswith("net.")})
    return _tensors(path, {_own_name(name.removeprefix("module.")): value for name, value in state.items()})


def load_weights(net: nn.Module, path: str | Path, new: Sequence[str] = ()) -> None:
    """Loads all weights of a file into a network, and nothing else.

    Args:
        net: changed in place; left unchanged if the weights do not fit.
        path: see :func:`read_weights`.
        new: patterns (``*`` for any letters) of names that the network has and the file lacks; they keep their values.

    Raises:
        OnebitError: the file cannot be read, or names or shapes differ, which the error lists.

    Example:
        >>> file = getfixture("tmp_path") / "w.pth"
        >>> torch.save({"weight": torch.ones(1, 2), "scale": torch.ones(1)}, file)
        >>> load_weights(nn.Linear(2, 1), file)
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: ...w.pth does not fit the network: it lacks bias; unknown: scale (...)
    """
    weights, own = read_weights(path), net.state_dict()
    missing = [name for name in own if name not in weights and not any(fnmatchcase(name, p) for p in new)]
    unknown = [name for name in weights if name not in own]
    other = [
        f"{name} {tuple(value.shape)} for {tuple(own[name].shape)}"
        for name, value in weights.items()
        if name in own and value.shape != own[name].shape
    ]
    parts = {"it lacks": missing, "unknown:": unknown, "other shapes:": other}
    problems = "; ".join(f"{title} {_first(names)}" for title, names in parts.items() if names)
    if problems:
        raise OnebitError(
            f"{path} does not fit the network: {problems}",
            hint="take a checkpoint of the same model and classes; what it may lack is named under initial.new",
        )
    net.load_state_dict(weights, strict=False)


def load_initial(config: InitialConfig, net: nn.Module) -> None:
    """Loads the weights of a recipe's ``initial``, before a method is attached.

    Raises:
        OnebitError: see :func:`load_weights`; or a pattern of ``new`` matches no name of the network.
    """
    for pattern in config.new:
        if not any(fnmatchcase(name, pattern) for name in net.state_dict()):
            raise OnebitError(f"initial.new: no weight of the network is named {pattern}", hint="drop it, or mend it")
    load_weights(net, config.checkpoint, config.new)


def load_teacher(config: TeacherConfig, data: DataModule) -> nn.Module:
    """Loads the network of a recipe's ``teacher``, in evaluation mode.

    Args:
        config: with ``model`` the file is read as a state dict; without, it is a checkpoint of ``onebit train``.
        data: data module of the student.

    Raises:
        OnebitError: the file cannot be read or does not fit, or the teacher is for other classes or images.
    """
    with torch.random.fork_rng(devices=[]):  # the student's random numbers do not depend on its teacher
        if config.model is not None:
            net = make_net(config.model, config.options, len(data.classes), data.shape)
            load_weights(net, config.checkpoint)
            return net.eval()
        net, info = load_checkpoint(config.checkpoint)
    for key in ("classes", "shape", "mean", "std"):
        wanted = list(getattr(data, key))
        if info[key] != wanted:
            raise OnebitError(
                f"the teacher {config.checkpoint} was trained with other {key}: {_first(map(str, info[key]))}",
                hint=f"take one for {_first(map(str, wanted))}, or the same data",
            )
    return net


def _own_name(name: str) -> str:
    return f"head.{name[3:]}" if name.startswith("fc.") else name


def _tensors(path: str | Path, state: dict[str, Any]) -> dict[str, Tensor]:
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise OnebitError(f"{path} holds no weights: {_first(others)}", hint="take a state dict, of tensors only")
    return state


def _first(names: Iterable[str]) -> str:
    """Joins as many names as fit on one line."""
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
