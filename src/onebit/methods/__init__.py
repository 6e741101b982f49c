"""Training methods: one paper a file."""

from onebit.methods.base import Method
from onebit.methods.cyclebnn import CycleBNN
from onebit.methods.loop import apply
from onebit.methods.parameters import ParameterGroup, optimizer_groups

__all__ = ["CycleBNN", "Method", "ParameterGroup", "apply", "optimizer_groups"]
