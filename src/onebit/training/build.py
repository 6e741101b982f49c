"""Builds networks and methods from the plain values of a recipe or a checkpoint."""

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, cast

from jsonargparse import ArgumentError, ArgumentParser
from torch import nn

from onebit import methods, models
from onebit.errors import OnebitError, nearest
from onebit.methods import Method


def make_net(name: str, options: dict[str, Any], num_classes: int, shape: tuple[int, ...]) -> nn.Module:
    """Builds a network of ``onebit.models`` for images of ``shape`` (C, H, W).

    Raises:
        OnebitError: no model has that name, it does not take an option, or it takes images of another shape.
    """
    try:
        net = models.create(name, num_classes=num_classes, **options)
    except TypeError as problem:
        raise OnebitError(f"model {name}: {problem}", hint="see model.options in the recipe") from problem
    wanted = cast(tuple[int, ...], net.input_shape)
    if wanted != tuple(shape):
        sizes = ["×".join(map(str, size)) for size in (wanted, shape)]
        raise OnebitError(
            f"model {name} takes images of {sizes[0]}, the data has {sizes[1]}",
            hint="choose a model, or its options, for this data",
        )
    return net


def make_method(class_path: str, init_args: dict[str, Any], *, trusted: bool) -> Method:
    """Builds a method from the path of its class and its arguments.

    Args:
        class_path: such as ``onebit.methods.CycleBNN``.
        init_args: keyword arguments, converted to the types that the class declares. An argument of type
            ``Sequence[Method]``, as ``Compose`` has, is a list of objects with ``class_path`` and ``init_args``.
        trusted: import any module; otherwise only onebit's own and modules that are imported already, so that a
            file cannot run code.

    Raises:
        OnebitError: the class does not exist, is not a method, or does not take an argument.

    Example:
        >>> make_method("onebit.methods.CycleBNM", {}, trusted=False)
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: there is no method onebit.methods.CycleBNM (did you mean CycleBNN?)
    """
    kind = _find(class_path, trusted)
    parameters = inspect.signature(kind).parameters
    known = list(parameters)
    for name in init_args:
        if name not in known:
            hint = nearest(name, known, f"its arguments: {', '.join(known)}")
            raise OnebitError(f"method {class_path} has no argument {name}", hint=hint)
    # not left to the parser, which would import whatever a file names
    lists = [name for name in known if parameters[name].annotation in (Sequence[Method], "Sequence[Method]")]
    parts = {name: _parts(f"{class_path}: {name}", init_args[name], trusted) for name in lists if name in init_args}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, skip=set(lists))
    try:
        plain = parser.parse_object({name: value for name, value in init_args.items() if name not in lists})
        return kind(**vars(parser.instantiate_classes(plain)), **parts)
    except (ArgumentError, TypeError, ValueError) as problem:
        raise OnebitError(f"method {class_path}: {problem}", hint="see method.init_args in the recipe") from problem


def _parts(name: str, values: Any, trusted: bool) -> list[Method]:
    whole = isinstance(values, list) and all(
        isinstance(value, dict) and isinstance(value.get("class_path"), str) and {*value} <= {"class_path", "init_args"}
        for value in values
    )
    if not whole:
        raise OnebitError(f"method {name} must be a list of methods", hint="each has class_path and init_args")
    return [make_method(value["class_path"], dict(value.get("init_args") or {}), trusted=trusted) for value in values]


def _find(class_path: str, trusted: bool) -> type[Method]:
    module_name, _, name = class_path.rpartition(".")
    ours = f"{module_name}.".startswith("onebit.methods.")
    if ours:
        for kind in vars(methods).values():
            if isinstance(kind, type) and issubclass(kind, Method) and name in kind.former_names:
                return kind
    if not trusted and not ours and not _is_known(class_path):
        raise OnebitError(
            f"the file names a method of a foreign package, {class_path}", hint="import that package first"
        )
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as problem:
        raise OnebitError(f"there is no method {class_path}", hint=str(problem)) from problem
    kind = getattr(module, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        known = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, Method)]
        hint = nearest(name, known, "class_path names a subclass of onebit.methods.Method")
        raise OnebitError(f"there is no method {class_path}", hint=hint)
    return kind


def _is_known(class_path: str) -> bool:
    def subclasses(kind: type[Method]) -> list[type[Method]]:
        return [kind, *(below for child in kind.__subclasses__() for below in subclasses(child))]

    return any(f"{kind.__module__}.{kind.__qualname__}" == class_path for kind in subclasses(Method))  # type: ignore[type-abstract]
