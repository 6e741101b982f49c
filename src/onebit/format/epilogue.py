"""The operations of a convolution on its sums before it writes them. numpy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onebit.format.codes import Activation

# A tensor of the file: float32, int32, int8, or bool (written as bits, True for −1); None where it is absent.
Constant = NDArray[Any] | None


@dataclass(frozen=True)
class Epilogue:
    """``y = activation(y · scale + bias + residual) + post``, all per channel; kept in float64 until it is written."""

    scale: NDArray[np.float64] | None = None
    bias: NDArray[np.float64] | None = None
    activation: Activation = Activation.NONE
    slope: NDArray[np.float64] | None = None
    post: NDArray[np.float64] | None = None

    def constants(self) -> list[Constant]:
        parts = (self.scale, self.bias, self.slope, self.post)
        return [None if part is None else part.astype(np.float32) for part in parts]
