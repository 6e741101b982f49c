"""Continual learning in PyTorch: streams, and the references for the native learner."""

from onebit.continual.heads import CWRStar, NaiveFineTuning, with_bias
from onebit.continual.protocols import new_classes, new_instances, new_instances_and_classes, random_sessions
from onebit.continual.quantized import QuantizedCWRStar
from onebit.continual.streams import Experience, Stream

__all__ = [
    "CWRStar",
    "Experience",
    "NaiveFineTuning",
    "QuantizedCWRStar",
    "Stream",
    "new_classes",
    "new_instances",
    "new_instances_and_classes",
    "random_sessions",
    "with_bias",
]
