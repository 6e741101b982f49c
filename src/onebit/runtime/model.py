"""A packed model and how to load it."""

import os

from onebit.runtime import _engine

__all__ = ["Model", "load"]


class Model:
    """A packed model."""


def load(path: str | os.PathLike[str]) -> Model:
    """Loads an ``.obn`` file."""
    raise NotImplementedError(f"{_engine.__name__} cannot read {path} yet")
