"""Training methods: one paper per file.

What is no method of its own is machinery: ``base`` (what a method is), ``compose`` (several in one run), ``lightning``
(a method in Lightning's loop), ``guard`` (refuses a loop that leaves something out), ``schedule`` (bit widths that
cycle), ``quantized_layers`` (k-bit layers).
"""

from typing import TYPE_CHECKING, Any

from onebit import _needs_torch  # noqa: F401  # its import is the check
from onebit.methods.base import Method, ParameterGroup, optimizer_groups
from onebit.methods.birealnet import BiReal
from onebit.methods.bop import Bop, BopOptimizer, SecondOrderBopOptimizer
from onebit.methods.compose import Compose
from onebit.methods.cpt import CPT
from onebit.methods.cyclebnn import CycleBNN
from onebit.methods.distillation import Distillation
from onebit.methods.irnet import IRNet
from onebit.methods.pfq import PFQ
from onebit.methods.rbonn import RBONN
from onebit.methods.reactnet import ReActNet
from onebit.methods.recu import ReCU

if TYPE_CHECKING:
    from onebit.methods.lightning import apply

__all__ = [
    "CPT",
    "PFQ",
    "RBONN",
    "BiReal",
    "Bop",
    "BopOptimizer",
    "Compose",
    "CycleBNN",
    "Distillation",
    "IRNet",
    "Method",
    "ParameterGroup",
    "ReActNet",
    "ReCU",
    "SecondOrderBopOptimizer",
    "apply",
    "optimizer_groups",
]


def __getattr__(name: str) -> Any:
    """Imports lightning only for those who train with it: a plain PyTorch loop does without its seconds."""
    if name == "apply":
        from onebit.methods.lightning import apply

        return apply
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
