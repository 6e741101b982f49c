"""The numbers by which an ``.obn`` file names operators, activations and types (docs/file-format.md)."""

import enum


class Op(enum.IntEnum):
    """An operator; its name in lower case is that of the page and of a report."""

    CONV_FLOAT = 1
    CONV_BINARY = 2
    BINARIZE = 3
    POINTWISE = 4
    MAX_POOL = 5
    AVERAGE_POOL = 6
    PAD_CHANNELS = 7
    CONV_INT8 = 8


class Activation(enum.IntEnum):
    NONE = 0
    RELU = 1
    HARDTANH = 2
    PRELU = 3


class Estimator(enum.IntEnum):
    """The estimator of the derivative of sign(x − t): 1 where |x − t| ≤ 1, or max(0, 2 − 2|x − t|)."""

    CLIPPED = 1
    QUADRATIC = 2


class ValueType(enum.IntEnum):
    """The element type of a value of the graph."""

    FLOAT32 = 1
    BITS = 2


class TensorType(enum.IntEnum):
    """The element type of a constant tensor."""

    FLOAT32 = 1
    INT32 = 2
    BITS = 3
    INT8 = 4


class MetaType(enum.IntEnum):
    """The type of an entry of META."""

    TEXT = 1
    TEXTS = 2
    FLOATS = 3
    COUNTS = 4
