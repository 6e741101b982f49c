"""onebit: binary neural networks as real software.

``import onebit`` is what a device needs: it loads numpy and the native engine, nothing else. The training side
(``onebit.nn``, ``onebit.models``, ``onebit.methods``, ``onebit.deploy``, ...) is loaded when it is first used and needs
``pip install 'onebit[train]'``.
"""

import importlib
from types import ModuleType

from onebit.errors import OnebitError
from onebit.runtime import Learner, Model, load

__version__ = "0.1.0"
__all__ = ["Learner", "Model", "OnebitError", "__version__", "load"]

_TRAINING_SIDE = ("continual", "cost", "data", "deploy", "methods", "models", "nn", "quantize", "training")


def __getattr__(name: str) -> ModuleType:
    if name in _TRAINING_SIDE:
        return importlib.import_module(f"onebit.{name}")
    raise AttributeError(f"module 'onebit' has no attribute {name!r}")
