"""Training methods: one paper a file."""

from onebit.methods.base import Method
from onebit.methods.cyclebnn import CycleBNN
from onebit.methods.loop import apply

__all__ = ["CycleBNN", "Method", "apply"]
