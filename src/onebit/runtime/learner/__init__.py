"""A packed model that keeps learning on the device."""

from onebit.runtime.learner.experience import Taught
from onebit.runtime.learner.gate import Accuracy, Gate
from onebit.runtime.learner.learner import Learner

__all__ = ["Accuracy", "Gate", "Learner", "Taught"]
