"""The nodes of a tail that is trained in integers, each with its forward and backward pass; see
:mod:`onebit.continual.quantized_tail` for the equations."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from onebit.continual.packed_tail import CONV_BINARY, PackedNode
from onebit.continual.quantized import Factor
from onebit.continual.tail_arithmetic import (
    MOST_GRADIENT,
    MOST_MASTER,
    MOST_WEIGHT,
    Gradient,
    Levels,
    fixed,
    round_shift,
    stepped,
)

_SUM = (1 << 31) - 1  # the largest Z
_RELU, _HARDTANH, _PRELU = 1, 2, 3
_M, _N, _A, _P = range(4)


class Node:
    """A convolution or a pointwise operator: its masters M, N, A, P and what it does with sums."""

    def __init__(self, node: PackedNode, channels: int, source: float, out: Levels, residual: Levels | None) -> None:
        first, attribute = (1, 9) if node.op == CONV_BINARY else (0, 0)
        tensors = node.tensors[first : first + 4]
        scale, bias, slope, post = (
            np.full(channels, default) if tensor is None else tensor.astype(np.float64)
            for tensor, default in zip(tensors, (1.0, 0.0, 0.0, 0.0), strict=True)
        )
        self.source, self.out = source, out
        self.activation = node.attributes[attribute]
        self.trained = [tensor is not None for tensor in tensors]
        self.masters = torch.stack(
            [
                fixed(scale * source / out.step * 65536),
                fixed(bias / out.step * 65536),
                fixed(slope * 65536),
                fixed(post / out.step * 65536),
            ]
        )
        self.residual = 0 if residual is None else int(fixed(residual.step / out.step * 65536))
        self.limit = int(fixed(65536 / out.step))

    def before(self, s: Tensor, residual: Tensor | None) -> Tensor:
        """Z."""
        z = self.masters[_M] * s + self.masters[_N]
        return (z if residual is None else z + self.residual * residual).clamp(-_SUM, _SUM)

    def after(self, z: Tensor) -> Tensor:
        """q."""
        if self.activation == _RELU:
            z = z.clamp(min=0)
        elif self.activation == _HARDTANH:
            z = z.clamp(-self.limit, self.limit)
        elif self.activation == _PRELU:
            z = torch.where(z < 0, round_shift(z * self.masters[_A], 16), z)
        return self.out(round_shift(z + self.masters[_P], 16))

    def backward(self, g: Tensor, z: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """G', and dM, dN, dA, dP, (4, channels)."""
        slope = torch.zeros_like(g)
        behind = g
        if self.activation == _RELU:
            behind = torch.where(z < 0, 0, g)
        elif self.activation == _HARDTANH:
            behind = torch.where(z.abs() > self.limit, 0, g)
        elif self.activation == _PRELU:
            bent = round_shift(g * self.masters[_A], 16).clamp(-MOST_GRADIENT, MOST_GRADIENT)
            behind = torch.where(z < 0, bent, g)
            slope = torch.where(z < 0, g * round_shift(z, 16), 0)
        sums = [total.flatten(0, -2).sum(dim=0) for total in (behind * s, behind, slope, g)]
        return behind, torch.stack(sums)

    def through_scale(self, behind: Tensor) -> Tensor:
        """G' M, the gradient of s in units of 2^-16 of the output's step."""
        return behind * self.masters[_M]

    def update(self, sums: Tensor, unit: float, rate: float, key: int) -> None:
        """M, N and P are worth 2^-16 of the output's step, A 2^-16; M of a pointwise node also holds the input's."""
        channels, step = sums.shape[1], self.out.step
        scales = [unit * 65536 / step] * 4
        scales[_M] = unit * self.source * self.source * 65536 / step
        scales[_A] = unit * step * 65536
        for j, scale in enumerate(scales):
            if self.trained[j]:
                self.masters[j] = stepped(self.masters[j], sums[j], rate * scale, key, j * channels, MOST_MASTER)


class Convolution(Node):
    """Stride 1; zeros in the padding, which contribute nothing."""

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
        super().__init__(node, len(latent), 1.0, out, residual)
        assert binarize.tensors[0] is not None
        lower = binarize.tensors[0][:, 0].astype(np.float64)
        self.threshold = torch.from_numpy(np.clip(np.ceil(lower / source.step), -1000, 1000)).long()
        self.centre = fixed(lower * 32768)
        self.width = int(fixed(source.step * 32768, 1 << 22))
        self.quadratic = quadratic
        self.weight = torch.from_numpy(latent.astype(np.int64))
        self.largest = largest
        self.padding = node.attributes[2:6]  # top, left, bottom, right

    def signs(self) -> Tensor:
        return torch.where(self.weight >= 0, 1.0, -1.0).double()

    def bits(self, x: Tensor) -> Tensor:
        """±1, and 0 in the padding; float64."""
        top, left, bottom, right = self.padding
        return functional.pad(torch.where(x >= self.threshold, 1.0, -1.0).double(), (0, 0, left, right, top, bottom))

    def convolve(self, x: Tensor) -> Tensor:
        """s."""
        bits, weight = self.bits(x), self.signs()
        return sum(part @ weight[:, y, x].T for y, x, part in self._windows(bits)).long()  # type: ignore[union-attr]

    def gradients(self, h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Σ h · bit for each weight, Σ h · sign w for each input."""
        bits, weight, levels = self.bits(x), self.signs(), h.double()
        by_weight, by_input = torch.zeros_like(weight), torch.zeros_like(bits)
        for (row, column, part), (_, _, to) in zip(self._windows(bits), self._windows(by_input), strict=True):
            by_weight[:, row, column] = levels.flatten(0, 2).T @ part.flatten(0, 2)
            to += levels @ weight[:, row, column]
        top, left = self.padding[:2]
        inside = by_input[:, top : top + x.shape[1], left : left + x.shape[2]]
        return by_weight.long(), inside.long()

    def slope(self, x: Tensor) -> Tensor:
        """What stands for the derivative of the sign, in units of 2^-14."""
        distance = (x * self.width - self.centre).abs()
        return (32768 - distance).clamp(min=0) if self.quadratic else torch.where(distance <= 32768, 16384, 0)

    def update_weights(self, sums: Tensor, unit: float, rate: float, key: int) -> None:
        self.weight = stepped(self.weight, sums, rate * (unit * 127 / self.largest), key, 0, MOST_WEIGHT)

    def _windows(self, padded: Tensor) -> list[tuple[int, int, Tensor]]:
        """For each tap of the kernel the part of the padded image that it sees."""
        rows, columns = self.weight.shape[1:3]
        h, w = padded.shape[1] - rows + 1, padded.shape[2] - columns + 1
        return [(y, x, padded[:, y : y + h, x : x + w]) for y in range(rows) for x in range(columns)]


class Mean:
    """The mean over height and width."""

    def __init__(self, source: Levels, out: Levels, pixels: int) -> None:
        self.out, self.pixels = out, pixels
        self.factor = Factor.of(source.step / (pixels * out.step))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.factor.multiply(x.sum(dim=(1, 2), keepdim=True), 0))

    def backward(self, gradient: Gradient, x: Tensor) -> Gradient:
        return Gradient(gradient.levels.expand(x.shape), gradient.unit / self.pixels)
