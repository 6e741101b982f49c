"""One call of a module in the network, and the registry of the functions that make nodes of it."""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from onebit.deploy.elementwise import PerChannel, Step
from onebit.errors import OnebitError
from onebit.format.epilogue import Epilogue
from onebit.format.graph import Graph, Node, Pointwise, Value
from onebit.format.window import Window
from onebit.quantize import BinaryQuantizer


@dataclass(frozen=True)
class Wire:
    """A tensor of the network: its value in the graph, and 4 for (N, C, H, W) or 2 for what was flattened."""

    value: Value
    rank: int


@dataclass(frozen=True)
class Site:
    """One call in the network: the graph so far, the layer's name, its input and its output."""

    graph: Graph
    name: str
    layer: str
    wire: Wire
    x: Tensor
    y: Tensor

    def refuse(self, reason: str) -> NoReturn:
        raise OnebitError(
            f"layer '{self.name}' ({self.layer}) cannot be exported: {reason}", hint=f"supported: {supported()}"
        )

    def function(self, module: nn.Module) -> PerChannel:
        """``module`` on the input of this call."""
        value, rank = self.wire.value, self.wire.rank
        return PerChannel((Step(module, rank, value.h * value.w if rank == 2 else 1),))

    def add(self, node: Node) -> Wire:
        self.graph.nodes.append(node)
        return Wire(node.output, self.y.dim())

    def output(self) -> Value:
        """A new value for the result, (N, C, H, W) or (N, D)."""
        channels, *sides = self.y.shape[1:]
        h, w = sides or (1, 1)
        return Value(h, w, channels)

    def pointwise(self, module: nn.Module, epilogue: Epilogue, kind: type[Pointwise] = Pointwise) -> Wire:
        value = self.wire.value
        return self.add(kind(self.name, [value], Value(*value.sides), epilogue, function=self.function(module)))


def supported() -> str:
    """The layers that can be exported, for messages."""
    return ", ".join(sorted({cls.__name__ for cls in convert.registry if cls not in (object, BinaryQuantizer)}))


def converts(module: nn.Module) -> bool:
    """Whether ``module`` is of a registered type and computes as that type does."""
    return obstacle(module) is None


def obstacle(module: nn.Module) -> str | None:
    """Why a module cannot be converted as the registered type that it is or inherits from; None if it can.

    Example:
        >>> class Doubled(nn.ReLU):
        ...     def forward(self, x):
        ...         return 2 * super().forward(x)
        >>> obstacle(nn.ReLU()), obstacle(Doubled())
        (None, "its class Doubled has a 'forward' of its own")
    """
    mro = type(module).__mro__
    known = next((cls for cls in mro if cls in convert.registry and issubclass(cls, nn.Module)), None)
    if known is None:
        return "the format has no operator for it"
    if known is BinaryQuantizer:  # its own computation is what is evaluated
        return None
    own = known.__mro__[: known.__mro__.index(nn.Module)]
    computing = _CALLING | {name for cls in own for name, member in vars(cls).items() if callable(member)} - _INERT
    for name in vars(module):
        if name in computing:
            return f"its '{name}' was replaced"
    for cls in mro[: mro.index(known)]:
        for name in vars(cls):
            if name in computing:
                return f"its class {cls.__name__} has a '{name}' of its own"
    return None


_CALLING = {"__call__", "_call_impl", "_wrapped_call_impl", "_slow_forward", "__getattr__", "__getattribute__"}
# What an export asks the module for itself, and what takes no part in a forward pass.
_INERT = {
    "quantized_weight",
    "extra_repr",
    "reset_parameters",
    "reset_running_stats",
    "_check_input_dim",
    "_load_from_state_dict",
    "__init__",
    "__setstate__",
}


@singledispatch
def convert(module: Any, site: Site) -> Wire:
    """Adds the nodes of ``module`` to the graph and returns its output.

    Raises:
        OnebitError: the format has no operator for it.
    """
    site.refuse("the format has no operator for it")


def dense(weight: NDArray[np.float32], site: Site) -> tuple[NDArray[np.float32], Window]:
    """A weight (O, D) over flattened channels, rows, columns as [O, h, w, c]."""
    if site.wire.rank != 2:
        site.refuse("its input is not flattened to (N, features)")
    h, w, c = site.wire.value.sides
    return weight.reshape(-1, c, h, w).transpose(0, 2, 3, 1).copy(), Window((h, w))


def pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def to_numpy(x: Tensor) -> NDArray[np.float32]:
    return x.detach().float().numpy()


def optional(x: Tensor | None) -> NDArray[np.float64] | None:
    return None if x is None else to_numpy(x).astype(np.float64)
