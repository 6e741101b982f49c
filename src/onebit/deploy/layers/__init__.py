"""From PyTorch modules to nodes of the graph: a function for each type, registered by importing this package."""

from onebit.deploy.layers import binary, pool, real

__all__ = ["binary", "pool", "real"]
