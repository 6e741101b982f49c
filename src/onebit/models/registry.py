"""Networks by name."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from onebit.errors import OnebitError, nearest
from onebit.nn import insert_latent_sign

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])

_builders: dict[str, Callable[..., nn.Module]] = {}


def register(builder: Builder) -> Builder:
    """Adds a function that builds a network, under its own name; its first argument is ``num_classes``."""
    _builders[builder.__name__] = builder
    return builder


def names() -> list[str]:
    """The names that :func:`create` knows, sorted.

    Example:
        >>> "birealnet18" in names()
        True
    """
    return sorted(_builders)


def create(name: str, num_classes: int = 10, *, latent_sign: str | None = None, **options: Any) -> nn.Module:
    """Builds a network by name, with fresh weights from torch's default generator.

    Args:
        name: one of :func:`names`.
        num_classes: number of logits.
        latent_sign: the module behind which a :class:`~onebit.nn.LatentSign` is put, so that the network can be packed
            with a teachable tail.
        options: those of the network; each takes ``full_precision=True``, which builds the real-valued twin.

    Returns:
        A network with ``head`` (its last ``nn.Linear``) and ``input_shape`` (C, H, W).

    Raises:
        OnebitError: no such network, option or module, or a value that the network does not take.

    Example:
        >>> net = create("small", num_classes=6)
        >>> net.input_shape, net.head.out_features
        ((1, 8, 8), 6)
        >>> create("bireal18")
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: there is no model 'bireal18' (did you mean birealnet18?)
    """
    if name not in _builders:
        hint = nearest(name, names(), f"there are {', '.join(names())}")
        raise OnebitError(f"there is no model {name!r}", hint=hint)
    if num_classes < 1:
        raise OnebitError(f"model {name!r} was asked for {num_classes} classes", hint="num_classes is at least 1")
    builder = _builders[name]
    accepted = [option for option in inspect.signature(builder).parameters if option != "num_classes"]
    for option in options:
        if option not in accepted:
            known = ", ".join([*accepted, "latent_sign"])
            raise OnebitError(f"model {name!r} has no option {option!r}", hint=f"it takes {known}")
    net = builder(num_classes, **options)
    if latent_sign is not None:
        insert_latent_sign(net, latent_sign)
    return net
