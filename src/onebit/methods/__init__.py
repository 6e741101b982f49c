"""Training methods: one paper a file."""

from onebit.methods.base import Method
from onebit.methods.compose import Compose
from onebit.methods.cpt import CPT
from onebit.methods.cyclebnn import CycleBNN
from onebit.methods.fractrain import FracTrain
from onebit.methods.loop import apply
from onebit.methods.parameters import ParameterGroup, optimizer_groups
from onebit.methods.rbonn import RBONN

__all__ = ["CPT", "RBONN", "Compose", "CycleBNN", "FracTrain", "Method", "ParameterGroup", "apply", "optimizer_groups"]
