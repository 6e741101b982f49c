"""Where the bytes of an ``.obn`` file lie (docs/file-format.md)."""

from collections.abc import Sequence
from struct import Struct

import numpy as np
from numpy.typing import NDArray

MAGIC = b"\x89OBN\r\n\x1a\n"
VERSION = 1
ALIGNMENT = 64
ABSENT = 0xFFFFFFFF
NAME_BYTES = 60
KINDS = (b"META", b"GRPH", b"TNSR", b"DATA")

HEADER = Struct("<8sIIQI")  # its own checksum follows, then zeros up to ALIGNMENT
CHECKSUM = Struct("<I")
SECTION = Struct("<4sIQQ")
COUNT = Struct("<I")
META = Struct("<HBBI")
TENSORS = Struct("<II")
TENSOR = Struct("<II4IQQ")
GRAPH = Struct("<4I")
OUTPUT = Struct(f"<I{NAME_BYTES}s")
VALUE = Struct("<4I")
NODE = Struct(f"<5I{NAME_BYTES}s")

# A value of META: text, texts, floats or counts; numpy arrays tell floats from counts.
Meta = str | Sequence[str] | NDArray[np.float32] | NDArray[np.uint32]
