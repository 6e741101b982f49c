"""The limits of what an ``.obn`` file holds (docs/file-format.md)."""

MAX_COUNT = 65536  # nodes, values and tensors, each
MAX_OUTPUTS = 64
MAX_SIDE = 2**24
MAX_ELEMENTS = 2**28
MAX_KERNEL = 2**10
MAX_STEP = 2**10
MAX_TAPS = 2**24
MAX_INT8_TAPS = 2**16
