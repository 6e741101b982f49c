"""Training methods: one paper a file."""

from onebit import _needs_torch  # noqa: F401
from onebit.methods.base import Method
from onebit.methods.birealnet import BiReal
from onebit.methods.bit_flips import Bop, SecondOrderBop
from onebit.methods.compose import Compose
from onebit.methods.cpt import CPT
from onebit.methods.cyclebnn import CycleBNN
from onebit.methods.distillation import Distillation
from onebit.methods.fractrain import FracTrain
from onebit.methods.irnet import IRNet
from onebit.methods.latent_free import LatentFree
from onebit.methods.loop import apply
from onebit.methods.parameters import ParameterGroup, optimizer_groups
from onebit.methods.rbonn import RBONN
from onebit.methods.reactnet import ReActNet
from onebit.methods.recu import ReCU

__all__ = [
    "CPT",
    "RBONN",
    "BiReal",
    "Bop",
    "Compose",
    "CycleBNN",
    "Distillation",
    "FracTrain",
    "IRNet",
    "LatentFree",
    "Method",
    "ParameterGroup",
    "ReActNet",
    "ReCU",
    "SecondOrderBop",
    "apply",
    "optimizer_groups",
]
