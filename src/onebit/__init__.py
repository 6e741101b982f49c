"""onebit: binary neural networks as real software.

``import onebit`` is what a device needs: it loads numpy and the native engine, nothing else. The training side
(``onebit.nn``, ``onebit.models``, ``onebit.methods``, ``onebit.deploy``, ...) is imported by name and needs
``pip install 'onebit[train]'``.
"""

from onebit.errors import OnebitError
from onebit.runtime import Learner, Model, load

__version__ = "0.1.0"
__all__ = ["Learner", "Model", "OnebitError", "__version__", "load"]
