"""Trained module -> graph -> folded -> packed -> ``.obn`` file; the report says what was packed and what not."""

from onebit import _needs_torch  # noqa: F401  # its import is the check
from onebit.deploy.exporter import build, export
from onebit.deploy.int8 import Agreement
from onebit.deploy.report import Layer, Report
from onebit.deploy.tail import Teachable
from onebit.deploy.training_images import calibration_images, evaluation_resize, replay_images
from onebit.deploy.verify import Verified

__all__ = [
    "Agreement",
    "Layer",
    "Report",
    "Teachable",
    "Verified",
    "build",
    "calibration_images",
    "evaluation_resize",
    "export",
    "replay_images",
]
