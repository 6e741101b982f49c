"""Training, evaluation and checkpoints.

Example:
    >>> from onebit.training import read_recipe
    >>> file = getfixture("tmp_path") / "tiny.yaml"
    >>> _ = file.write_text("model: {name: small}\\ndata: {name: digits}\\ntrainer: {max_epochs: 2}\\n")
    >>> read_recipe(file).trainer.max_epochs
    2
"""

import importlib
from typing import TYPE_CHECKING, Any

from onebit import _needs_torch  # noqa: F401  # its import is the check

if TYPE_CHECKING:
    from onebit.training.checkpoint import load_checkpoint
    from onebit.training.classifier import Classifier
    from onebit.training.evaluation import evaluate
    from onebit.training.range_test import precision_range_test
    from onebit.training.recipe import Recipe, read_recipe
    from onebit.training.run import fit

__all__ = ["Classifier", "Recipe", "evaluate", "fit", "load_checkpoint", "precision_range_test", "read_recipe"]

_MODULES = {
    "Classifier": "classifier",
    "Recipe": "recipe",
    "evaluate": "evaluation",
    "fit": "run",
    "load_checkpoint": "checkpoint",
    "precision_range_test": "range_test",
    "read_recipe": "recipe",
}


def __getattr__(name: str) -> Any:
    """Imports Lightning only for training: reading a recipe or a checkpoint does not wait for it."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"onebit.training.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
