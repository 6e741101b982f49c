"""The device side: Python faces of the native engine and learner. numpy only."""

from onebit.runtime.learner import Accuracy, Gate, Learner, Taught
from onebit.runtime.model import Model, load
from onebit.runtime.program import Program

__all__ = ["Accuracy", "Gate", "Learner", "Model", "Program", "Taught", "load"]
