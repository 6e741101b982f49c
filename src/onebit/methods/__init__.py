"""Training methods: one paper a file."""

from onebit.methods.base import Method, apply
from onebit.methods.cyclebnn import CycleBNN

__all__ = ["CycleBNN", "Method", "apply"]
