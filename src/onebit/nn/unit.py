"""The parts of residual blocks: a convolution, BatchNorm, perhaps a shortcut and an activation, as one unit."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Unit:
    """activation(norm(conv(x)) + shortcut(t)).

    Args:
        conv: a convolution, with its sign in front if it is binary.
        norm: BatchNorm.
        activation: None for none.
        source: which tensor t of the block the shortcut reads: 0 is the block's input, i the output of its i-th unit
            (from 1); None for no shortcut.
        shortcut: applied to t; None, or an empty ``nn.Sequential``, for t as it is.
    """

    conv: nn.Module
    norm: nn.Module
    activation: nn.Module | None = None
    source: int | None = None
    shortcut: nn.Module | None = None

    def __call__(self, x: Tensor, t: Tensor | None) -> Tensor:
        """The unit computed by its modules."""
        y = self.norm(self.conv(x))
        if t is not None:
            y = y + self.residual(t)
        return y if self.activation is None else self.activation(y)

    def residual(self, t: Tensor) -> Tensor:
        """The tensor that is added."""
        return t if self.shortcut is None else self.shortcut(t)


class Block(nn.Module, ABC):
    """A chain of units: each reads the output of the one before it, the first the block's input.

    Attributes:
        backend: computes the block in training; None, as it starts, lets its modules do so. See
            :func:`onebit.nn.use_native`.

    Example:
        >>> import torch
        >>> class Plain(Block):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        ...
        ...     def units(self):
        ...         return (Unit(self.conv, self.norm, source=0),)
        >>> Plain()(torch.randn(2, 4, 5, 5)).shape
        torch.Size([2, 4, 5, 5])
    """

    backend: Callable[["Block", Tensor], Tensor] | None = None

    @abstractmethod
    def units(self) -> tuple[Unit, ...]:
        """The units of the block, in order."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.backend is not None:
            return self.backend(self, x)
        tensors = [x]
        for unit in self.units():
            tensors.append(unit(tensors[-1], None if unit.source is None else tensors[unit.source]))
        return tensors[-1]
