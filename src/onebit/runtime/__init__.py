"""The device side: Python faces of the native engine and learner. numpy only."""

from onebit.runtime.learner import Learner
from onebit.runtime.model import Model, load
from onebit.runtime.program import Program

__all__ = ["Learner", "Model", "Program", "load"]
