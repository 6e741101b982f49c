"""Continual learning in PyTorch: streams, and the references for the native learner."""

from onebit.continual.heads import CWRStar, NaiveFineTuning, with_bias
from onebit.continual.quantized import QuantizedCWRStar
from onebit.continual.streams import Experience, new_classes

__all__ = ["CWRStar", "Experience", "NaiveFineTuning", "QuantizedCWRStar", "new_classes", "with_bias"]
