"""What each package of the training side imports first, so that without torch one line says how to get it."""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ModuleNotFoundError("onebit's training side needs torch: pip install 'onebit[train]'", name="torch")
