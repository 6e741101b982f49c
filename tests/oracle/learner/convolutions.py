"""The convolutions of a tail that is trained in integers; see :mod:`tests.oracle.learner.network` for the
equations."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.oracle.learner.arithmetic import (
    MAX_WEIGHT,
    Gradient,
    Levels,
    fixed,
    normalise,
    round_shift,
    stepped,
)
from tests.oracle.learner.nodes import Node
from tests.oracle.learner.packed_tail import PackedNode
from tests.oracle.learner.windows import Windows

_FILE_MAX = 96  # the level of the largest weight of the file, so that weights may grow by a third
_PARTS = 8  # a master has this many bits more than the level that the products take
_FRACTION = 24  # sums of levels by levels are large, so that M is small


class Convolution(Node, ABC):
    """Levels by levels; what lies in the padding is 0 and contributes nothing.

    Attributes:
        weight: int64 (O, kh, kw, I), the masters.
    """

    weight: Tensor

    def __init__(
        self, node: PackedNode, weight: Tensor, source: float, out: Levels, residual: Levels | None, fraction: int
    ) -> None:
        super().__init__(node, len(weight), source, out, residual, fraction)
        self.weight = weight
        self.windows = Windows(tuple(weight.shape[1:3]), node.attributes[:2], node.attributes[2:6])

    @abstractmethod
    def inputs(self, x: Tensor) -> Tensor:
        """What the products take of the input's levels; float64."""

    @abstractmethod
    def weights(self) -> Tensor:
        """What they take of the masters; float64."""

    @abstractmethod
    def through(self, sums: Tensor, x: Tensor, unit: float) -> Gradient | None:
        """The gradient of the input from Σ h · weight."""

    @abstractmethod
    def update_weights(self, sums: Tensor, unit: float, rate: float, key: int) -> None:
        """A step against Σ h · input."""

    def convolve(self, x: Tensor) -> Tensor:
        """s."""
        parts, taps = self.windows.parts(self.inputs(x), 0), self.weights().flatten(1, 2).unbind(dim=1)
        return torch.stack([part @ tap.T for part, tap in zip(parts, taps, strict=True)]).sum(dim=0).long()

    def gradients(self, h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Σ h · input for each weight, Σ h · weight for each input."""
        parts, taps, levels = self.windows.parts(self.inputs(x), 0), self.weights().flatten(1, 2), h.double()
        by_weight = torch.stack([levels.flatten(0, 2).T @ part.flatten(0, 2) for part in parts], dim=1)
        by_input = self.windows.gathered([levels @ tap for tap in taps.unbind(dim=1)], *x.shape[1:3])
        return by_weight.reshape(self.weight.shape).long(), by_input.long()


class BinaryConvolution(Convolution):
    """Bits by signs of latent weights, of which ``unit`` is one."""

    def __init__(
        self,
        node: PackedNode,
        binarize: PackedNode,
        latent: NDArray[np.int8],
        largest: float,
        quadratic: bool,
        values: tuple[Levels, Levels, Levels | None],
    ) -> None:
        source, out, residual = values
        super().__init__(node, torch.from_numpy(latent.astype(np.int64)), 1.0, out, residual, 16)
        self.variance = latent[0].size
        assert binarize.tensors[0] is not None
        lower = binarize.tensors[0][:, 0].astype(np.float64)
        self.threshold = torch.from_numpy(np.clip(np.ceil(lower / source.step), -1000, 1000)).long()
        self.centre = fixed(lower * 32768)
        self.width = int(fixed(source.step * 32768, 1 << 22))
        self.quadratic = quadratic
        self.largest, self.unit = largest, largest / MAX_WEIGHT

    def inputs(self, x: Tensor) -> Tensor:
        return torch.where(x >= self.threshold, 1.0, -1.0).double()

    def weights(self) -> Tensor:
        return torch.where(self.weight >= 0, 1.0, -1.0).double()

    def slope(self, x: Tensor) -> Tensor:
        """What stands for the derivative of the sign, in units of 2^-14."""
        distance = (x * self.width - self.centre).abs()
        return (32768 - distance).clamp(min=0) if self.quadratic else torch.where(distance <= 32768, 16384, 0)

    def through(self, sums: Tensor, x: Tensor, unit: float) -> Gradient | None:
        return normalise(sums * self.slope(x), unit * 2.0**-14)

    def update_weights(self, sums: Tensor, unit: float, rate: float, key: int) -> None:
        self.weight = stepped(self.weight, sums, rate * (unit * 127 / self.largest), key, 0, MAX_WEIGHT)


class RealConvolution(Convolution):
    """8-bit levels by 8-bit levels of masters that have 16 bits, of which ``unit`` is one."""

    def __init__(self, node: PackedNode, source: Levels, out: Levels, residual: Levels | None) -> None:
        assert node.tensors[0] is not None
        weight = node.tensors[0].astype(np.float64)
        level = float(np.abs(weight).max()) / _FILE_MAX
        masters = fixed(weight / level * (1 << _PARTS))
        super().__init__(node, masters, level * source.step, out, residual, _FRACTION)
        self.step, self.level, self.unit = source.step, level, level * 2.0**-_PARTS

    def inputs(self, x: Tensor) -> Tensor:
        return x.double()

    def weights(self) -> Tensor:
        return round_shift(self.weight, _PARTS).double()

    def through(self, sums: Tensor, x: Tensor, unit: float) -> Gradient | None:
        return normalise(sums, unit / self.step)

    def update_weights(self, sums: Tensor, unit: float, rate: float, key: int) -> None:
        rate = rate * (unit / self.level / self.unit)
        self.weight = stepped(self.weight, sums, rate, key, 0, MAX_WEIGHT << _PARTS)
