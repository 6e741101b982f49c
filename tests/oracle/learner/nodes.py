"""What a scale, a bias, a shortcut and an activation do to sums, forward and backward, in a tail that is trained in
integers; see :mod:`tests.oracle.learner.network` for the equations."""

import numpy as np
import torch
from torch import Tensor

from onebit.format.codes import Activation, Op
from tests.oracle.learner.arithmetic import (
    MAX_GRADIENT,
    MAX_MASTER,
    Gradient,
    Levels,
    fixed,
    normalise,
    round_shift,
    stepped,
)
from tests.oracle.learner.packed_tail import PackedNode

_SUM = (1 << 31) - 1  # the largest Z
_M, _N, _A, _P = range(4)


class Node:
    """A convolution or a pointwise operator: its masters M, N, A, P and what it does with sums.

    Args:
        node: of the file.
        channels: of its output.
        source: what a sum of 1 stands for before the scale.
        out, residual: levels of its output and of its second input.
        fraction: M has units of 2^-fraction.

    Attributes:
        variance: that of a sum of random signs, 1 for other sums: the scale is trained times its root, which is about
            the scale of the BatchNorm that was folded into it, whose rate suits the other parameters too.
    """

    def __init__(
        self,
        node: PackedNode,
        channels: int,
        source: float,
        out: Levels,
        residual: Levels | None,
        fraction: int = 16,
    ) -> None:
        first, attribute = (0, 0) if node.op == Op.POINTWISE else (1, 9)
        tensors = node.tensors[first : first + 4]
        scale, bias, slope, post = (
            np.full(channels, default) if tensor is None else tensor.astype(np.float64)
            for tensor, default in zip(tensors, (1.0, 0.0, 0.0, 0.0), strict=True)
        )
        self.source, self.out, self.fraction = source, out, fraction
        self.variance = 1
        self.activation = node.attributes[attribute]
        self.trained = [tensor is not None for tensor in tensors]
        self.masters = torch.stack(
            [
                fixed(scale * source / out.step * 2**fraction),
                fixed(bias / out.step * 65536),
                fixed(slope * 65536),
                fixed(post / out.step * 65536),
            ]
        )
        self.residual = 0 if residual is None else int(fixed(residual.step / out.step * 65536))
        self.limit = int(fixed(65536 / out.step))

    def before(self, s: Tensor, residual: Tensor | None) -> Tensor:
        """Z."""
        z = round_shift(self.masters[_M] * s, self.fraction - 16) + self.masters[_N]
        return (z if residual is None else z + self.residual * residual).clamp(-_SUM, _SUM)

    def after(self, z: Tensor) -> Tensor:
        """q."""
        if self.activation == Activation.RELU:
            z = z.clamp(min=0)
        elif self.activation == Activation.HARDTANH:
            z = z.clamp(-self.limit, self.limit)
        elif self.activation == Activation.PRELU:
            z = torch.where(z < 0, round_shift(z * self.masters[_A], 16), z)
        return self.out(round_shift(z + self.masters[_P], 16))

    def backward(self, g: Tensor, z: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """G', and dM, dN, dA, dP, (4, channels)."""
        slope = torch.zeros_like(g)
        behind = g
        if self.activation == Activation.RELU:
            behind = torch.where(z < 0, 0, g)
        elif self.activation == Activation.HARDTANH:
            behind = torch.where(z.abs() > self.limit, 0, g)
        elif self.activation == Activation.PRELU:
            bent = round_shift(g * self.masters[_A], 16).clamp(-MAX_GRADIENT, MAX_GRADIENT)
            behind = torch.where(z < 0, bent, g)
            slope = torch.where(z < 0, g * round_shift(z, 16), 0)
        sums = [total.flatten(0, -2).sum(dim=0) for total in (behind * s, behind, slope, g)]
        return behind, torch.stack(sums)

    def through_scale(self, behind: Tensor) -> Tensor:
        """G' M, the gradient of s in units of 2^-fraction of the output's step."""
        return behind * self.masters[_M]

    def update(self, sums: Tensor, unit: float, rate: float, key: int) -> None:
        """N and P are worth 2^-16 of the output's step, A 2^-16; M also holds what a sum is worth."""
        channels, step = sums.shape[1], self.out.step
        scales = [unit * 65536 / step] * 4
        scales[_M] = unit * self.source * self.source * 2**self.fraction / step / self.variance
        scales[_A] = unit * step * 65536
        for j, scale in enumerate(scales):
            if self.trained[j]:
                self.masters[j] = stepped(self.masters[j], sums[j], rate * scale, key, j * channels, MAX_MASTER)

    def to_input(self, product: Tensor, unit: float) -> Gradient | None:
        """The gradient of a pointwise node's input from G' M."""
        return normalise(product, unit * self.out.step / self.source * 2.0**-16)
