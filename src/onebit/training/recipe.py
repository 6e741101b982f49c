"""A recipe: everything that decides what a training run computes, read from YAML and typed.

A recipe holds values only. The network, the method and the data are made from it by ``onebit.training.fit``.
"""

import dataclasses
import math
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from onebit.errors import OnebitError, nearest

_LENGTHS = {"trainer.max_epochs": "max_steps", "trainer.max_steps": "max_epochs"}


@dataclass(frozen=True)
class ModelConfig:
    """A name of ``onebit.models`` and its options; ``num_classes`` comes from the data."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MethodConfig:
    """A subclass of ``onebit.methods.Method`` and its arguments."""

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InitialConfig:
    """Weights to start from: a checkpoint of the same model, or a state dict.

    ``new`` are patterns of names that the file may lack, such as ``*.input_quantizer.alpha``.
    """

    checkpoint: str
    new: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TeacherConfig:
    """A trained network whose outputs replace the labels.

    Without ``model``, ``checkpoint`` is a checkpoint of ``onebit train``; with it, a state dict for that model of
    ``onebit.models`` with its ``options``.
    """

    checkpoint: str
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataConfig:
    """Arguments of ``onebit.data.DataModule``; the order of the data comes from the recipe's seed."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 64
    augment: str = "none"
    classes: list[str] | list[int] | None = None
    num_workers: int = 0
    normalize: bool = True
    validation: int = 0


@dataclass(frozen=True)
class OptimizerConfig:
    """``momentum`` is for SGD only; an update uses the mean gradient of ``accumulate`` batches per process."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-5
    momentum: float = 0.9
    accumulate: int = 1


@dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate over the steps of the run; it rises linearly from zero over the first ``warmup`` steps."""

    name: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: int = 0


@dataclass(frozen=True)
class AveragingConfig:
    """Averages of the weights, which replace them in evaluation, checkpoints and export.

    ``ema``: exponential, with ``decay``; ``swa``: the mean. ``start`` is the share of the run before the
    average begins.
    """

    name: Literal["ema", "swa"]
    decay: float = 0.999
    start: float = 0.0


@dataclass(frozen=True)
class TrainerConfig:
    """The length and the hardware of the run. Give ``max_epochs`` or ``max_steps``.

    ``max_time`` is ``DD:HH:MM:SS``; ``validate_every`` counts steps (default: once per epoch); a power cut loses at
    most ``checkpoint_seconds`` of work; ``devices`` counts the devices per machine, of ``num_nodes`` machines;
    ``threads`` is the number of PyTorch's threads (default: all cores, shared among the devices); ``backend`` says what
    computes: PyTorch; PyTorch with the network compiled by ``torch.compile``; or the native engine (see
    :mod:`onebit.nn.native`), which computes binary convolutions and the blocks around them in integers on the CPU, and
    whose fused units pass tensors on in the format ``storage``.
    """

    max_epochs: int | None = None
    max_steps: int | None = None
    max_time: str | None = None
    validate_every: int | None = None
    checkpoint_seconds: float = 60.0
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    threads: int | None = None
    backend: Literal["torch", "compiled", "native"] = "torch"
    storage: Literal["bfloat16", "float32"] = "bfloat16"

    @property
    def max_seconds(self) -> float:
        """``max_time`` in seconds; infinite without one."""
        if self.max_time is None:
            return math.inf
        days, hours, minutes, seconds = map(int, self.max_time.split(":"))
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@dataclass(frozen=True)
class Recipe:
    """One training run. ``published`` is the paper's result, a note without effect."""

    model: ModelConfig
    data: DataConfig
    trainer: TrainerConfig
    method: MethodConfig | None = None
    initial: InitialConfig | None = None
    teacher: TeacherConfig | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    averaging: AveragingConfig | None = None
    seed: int = 0
    published: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The recipe in plain containers, for YAML, JSON and checkpoints."""
        return dataclasses.asdict(self)


def read_recipe(path: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """Reads a recipe file.

    Args:
        path: a YAML file.
        overrides: values by dotted key, such as ``{"trainer.max_epochs": 3}``; a dict is merged into the recipe's.

    Raises:
        OnebitError: the file is missing or not YAML, a key is unknown (the error names the nearest known key), or a
            value has the wrong type.

    Example:
        >>> file = getfixture("tmp_path") / "tiny.yaml"
        >>> _ = file.write_text("model: {name: smallnet}\\ndata: {name: digits}\\ntrainer: {max_epochs: 2}\\n")
        >>> read_recipe(file, {"optimizer.lr": 0.01}).optimizer
        OptimizerConfig(name='adamw', lr=0.01, weight_decay=1e-05, momentum=0.9, accumulate=1)
        >>> read_recipe(file, {"trainer.max_epoch": 3})
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: ...tiny.yaml: unknown key trainer.max_epoch (did you mean trainer.max_epochs?)
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OnebitError(f"{path}: no such recipe", hint="recipes lie in the folder recipes/") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise OnebitError(f"{path} is not YAML: {problem}", hint="compare it with one in recipes/") from None
    if not isinstance(values, dict):
        raise OnebitError(f"{path} holds no keys", hint="compare it with one in recipes/")
    for key, value in (overrides or {}).items():
        _override(values, key.split("."), value)
        if key in _LENGTHS:  # the new length replaces the recipe's, whichever way that was given
            values["trainer"].pop(_LENGTHS[key], None)
    return parse_recipe(values, str(path))


def parse_recipe(values: dict[str, Any], source: str) -> Recipe:
    """Parses a recipe from plain containers, which errors call ``source``."""
    _check_keys(values, Recipe, source)
    method = values.get("method")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Recipe, skip={"method"})  # its class_path would be imported
    try:
        config = parser.parse_object({key: value for key, value in values.items() if key != "method"})
        recipe = Recipe(**vars(parser.instantiate_classes(config)), method=_method(method))
    except (ArgumentError, TypeError) as problem:
        raise OnebitError(f"{source}: {_summary(str(problem))}", hint="compare it with one in recipes/") from None
    _check_values(recipe, source)
    return recipe


def leaves() -> dict[str, Any]:
    """The dotted keys of a recipe, which a command line can override, with their types."""
    found = {}
    for key, hint in typing.get_type_hints(Recipe).items():
        section = _dataclass_of(hint)
        if section is not None:
            found.update({f"{key}.{name}": leaf for name, leaf in typing.get_type_hints(section).items()})
        elif key != "published":
            found[key] = hint
    return found


def _override(values: dict[str, Any], words: list[str], value: Any) -> None:
    for word in words[:-1]:
        values[word] = dict(values.get(word) or {})
        values = values[word]
    last = words[-1]
    values[last] = {**(values.get(last) or {}), **value} if isinstance(value, dict) else value


def _check_keys(values: dict[str, Any], kind: type, source: str, prefix: str = "") -> None:
    hints = typing.get_type_hints(kind)
    for key, value in values.items():
        if key not in hints:
            known = [f"{prefix}{name}" for name in hints] if prefix else [*hints, *leaves()]
            hint = nearest(f"{prefix}{key}", known, f"known keys: {', '.join(known)}", cutoff=0.5)
            raise OnebitError(f"{source}: unknown key {prefix}{key}", hint=hint)
        section = _dataclass_of(hints[key])
        if section is not None and value is not None:
            if not isinstance(value, dict):
                raise OnebitError(f"{source}: {prefix}{key} is {value!r}", hint="it must hold keys of its own")
            _check_keys(value, section, source, f"{prefix}{key}.")


def _check_values(recipe: Recipe, source: str) -> None:
    trainer = recipe.trainer
    if (trainer.max_epochs is None) == (trainer.max_steps is None):
        raise OnebitError(f"{source}: trainer needs max_epochs or max_steps, and not both", hint="drop or add one")
    positive = {
        "trainer.max_epochs": trainer.max_epochs,
        "trainer.max_steps": trainer.max_steps,
        "trainer.validate_every": trainer.validate_every,
        "trainer.devices": trainer.devices,
        "trainer.num_nodes": trainer.num_nodes,
        "trainer.threads": trainer.threads,
        "data.batch_size": recipe.data.batch_size,
        "optimizer.lr": recipe.optimizer.lr,
        "optimizer.accumulate": recipe.optimizer.accumulate,
    }
    for key, value in positive.items():
        if value is not None and value <= 0:
            raise OnebitError(f"{source}: {key} is {value}", hint="it must be above zero")
    not_negative = {
        "trainer.checkpoint_seconds": trainer.checkpoint_seconds,
        "data.num_workers": recipe.data.num_workers,
        "data.validation": recipe.data.validation,
        "optimizer.weight_decay": recipe.optimizer.weight_decay,
        "optimizer.momentum": recipe.optimizer.momentum,
        "schedule.warmup": recipe.schedule.warmup,
        "seed": recipe.seed,
    }
    for key, value in not_negative.items():
        if value < 0:
            raise OnebitError(f"{source}: {key} is {value}", hint="it must be zero or more")
    if trainer.backend == "native" and trainer.accelerator not in ("auto", "cpu"):
        raise OnebitError(
            f"{source}: trainer.backend native computes on the CPU, not on {trainer.accelerator}",
            hint="drop trainer.accelerator or trainer.backend",
        )
    if recipe.seed >= 2**32:
        raise OnebitError(f"{source}: seed is {recipe.seed}", hint="it must be below 2**32")
    if recipe.averaging is not None:
        for key in ("decay", "start"):
            value = getattr(recipe.averaging, key)
            if not 0 <= value < 1:
                raise OnebitError(f"{source}: averaging.{key} is {value}", hint="it must be in [0, 1)")
    if trainer.max_time is not None and not re.fullmatch(r"\d+:\d\d:\d\d:\d\d", trainer.max_time):
        raise OnebitError(f"{source}: trainer.max_time is {trainer.max_time}", hint="write it as DD:HH:MM:SS")


def _summary(problem: str) -> str:
    """Shortens a message of jsonargparse to one line: the key, the type that it expects, the value."""
    key = re.search(r'Parser key "([\w.]+)"', problem)
    value = re.search(r"(?:Given|Got) value: (.*)\Z", problem, re.DOTALL)
    hint = leaves().get(key[1]) if key else None
    if key is None or value is None or hint is None:
        return problem
    return f"{key[1]} must be {getattr(hint, '__name__', hint)}, not {value[1]}".replace("typing.", "")


def _method(values: Any) -> MethodConfig | None:
    if values is None:
        return None
    if not isinstance(values, dict) or not isinstance(values.get("class_path"), str):
        raise TypeError('"method": Expected null, or class_path and init_args')
    return MethodConfig(values["class_path"], dict(values.get("init_args") or {}))


def _dataclass_of(hint: Any) -> type | None:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((option for option in options if dataclasses.is_dataclass(option)), None)  # type: ignore[return-value]
