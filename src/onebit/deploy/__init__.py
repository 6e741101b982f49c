"""Trained module -> graph -> folded -> packed -> ``.obn`` file; the report says what was packed and what not."""

from onebit.deploy.exporter import build, export
from onebit.deploy.report import Layer, Report

__all__ = ["Layer", "Report", "build", "export"]
