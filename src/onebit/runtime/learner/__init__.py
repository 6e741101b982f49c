"""A packed model that keeps learning on the device."""

from onebit.runtime.learner.gate import Accuracy, Gate
from onebit.runtime.learner.learner import Learner
from onebit.runtime.learner.lesson import Taught

__all__ = ["Accuracy", "Gate", "Learner", "Taught"]
