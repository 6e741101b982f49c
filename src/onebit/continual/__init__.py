"""Continual learning in PyTorch: streams, what learns them, and what was kept."""

from onebit import _needs_torch  # noqa: F401  # its import is the check
from onebit.continual.arithmetic import Arithmetic
from onebit.continual.binarizer import LatentBinarizer
from onebit.continual.cumulative import Cumulative
from onebit.continual.cut import Split, split, with_bias
from onebit.continual.cwr import CWR, CWRStar
from onebit.continual.deployed import Deployed
from onebit.continual.fake_quantized import FullyQuantized, Hybrid
from onebit.continual.memory import ReplayMemory
from onebit.continual.metrics import Accuracies, run
from onebit.continual.naive import NaiveFineTuning
from onebit.continual.nearest_mean import NearestClassMean
from onebit.continual.protocols import new_classes, new_instances, new_instances_and_classes, random_sessions
from onebit.continual.replay import AR1Star, LatentReplay
from onebit.continual.strategy import Strategy
from onebit.continual.streams import Experience, Stream

Learner = Strategy  # the former name

__all__ = [
    "CWR",
    "AR1Star",
    "Accuracies",
    "Arithmetic",
    "CWRStar",
    "Cumulative",
    "Deployed",
    "Experience",
    "FullyQuantized",
    "Hybrid",
    "LatentBinarizer",
    "LatentReplay",
    "Learner",
    "NaiveFineTuning",
    "NearestClassMean",
    "ReplayMemory",
    "Split",
    "Strategy",
    "Stream",
    "new_classes",
    "new_instances",
    "new_instances_and_classes",
    "random_sessions",
    "run",
    "split",
    "with_bias",
]
