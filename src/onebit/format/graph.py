"""The graph of an ``.obn`` file: one typed node for each operator of docs/file-format.md. numpy only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from onebit.errors import OnebitError
from onebit.format.codes import Estimator, Op
from onebit.format.epilogue import Constant, Epilogue
from onebit.format.limits import MAX_COUNT, MAX_ELEMENTS, MAX_INT8_TAPS, MAX_OUTPUTS, MAX_SIDE, MAX_TAPS
from onebit.format.window import Window


@dataclass(eq=False)
class Value:
    """An image of h × w × c per sample: floats, or bits."""

    h: int
    w: int
    c: int
    bits: bool = False

    @property
    def sides(self) -> tuple[int, int, int]:
        return self.h, self.w, self.c


@dataclass(eq=False)
class Node:
    """One operator.

    ``function``, which is not written, is the PyTorch computation it came from, (values, channels) to the same.
    """

    op: ClassVar[Op]
    name: str
    inputs: list[Value]
    output: Value
    function: Callable[[Any], Any] | None = field(default=None, kw_only=True, repr=False)

    @property
    def kind(self) -> str:
        """The operator's name in the page and in a report."""
        return self.op.name.lower()

    def constants(self) -> list[Constant]:
        return []

    def attributes(self) -> list[int]:
        return []

    def output_sides(self) -> tuple[int, int, int]:
        """The (h, w, c) that the operator makes of its input."""
        return self.inputs[0].sides

    def check(self) -> None:
        """Raises OnebitError where the format cannot express the node."""
        where = f"layer '{self.name}'"
        if self.output_sides() != self.output.sides:
            raise OnebitError(f"{where}: makes {self.output_sides()}, but its output is said to be {self.output.sides}")
        if len(self.inputs) == 2 and self.inputs[1].sides != self.output.sides:
            raise OnebitError(f"{where}: adds {self.inputs[1].sides} to {self.output.sides} (height, width, channels)")
        if not isinstance(self, Binarize) and any(
            part is not None and not np.isfinite(part).all() for part in self.constants()
        ):
            raise OnebitError(f"{where}: its weights overflow float32", hint="is a variance of its BatchNorm nearly 0?")


@dataclass(eq=False)
class _Convolution(Node):
    weight: NDArray[Any]  # [O, kh, kw, C / groups]
    window: Window
    groups: int = 1
    epilogue: Epilogue = field(default_factory=Epilogue)

    def attributes(self) -> list[int]:
        window = self.window
        geometry = [*window.stride, *window.padding, *window.dilation, self.groups]
        return [*geometry, int(self.epilogue.activation), self.last_attribute()]

    def last_attribute(self) -> int:
        return 0

    def output_sides(self) -> tuple[int, int, int]:
        x = self.inputs[0]
        return *self.window.output_sides(x.h, x.w), self.weight.shape[0]

    def check(self) -> None:
        self.window.check(f"layer '{self.name}'")
        outputs, *kernel, depth = self.weight.shape
        grouped = self.groups >= 1 and depth * self.groups == self.inputs[0].c and outputs % self.groups == 0
        if tuple(kernel) != self.window.kernel or not grouped:
            raise OnebitError(
                f"layer '{self.name}': a weight of {self.weight.shape} in {self.groups} groups does not fit "
                f"{self.inputs[0].c} channels"
            )
        if self.weight[0].size > MAX_TAPS:
            raise OnebitError(f"layer '{self.name}': a dot product of {self.weight[0].size} is longer than {MAX_TAPS}")
        super().check()


@dataclass(eq=False)
class ConvFloat(_Convolution):
    """A real-valued convolution, or a dense layer: ``weight`` is float."""

    op = Op.CONV_FLOAT

    def constants(self) -> list[Constant]:
        return [self.weight.astype(np.float32), *self.epilogue.constants(), None]


@dataclass(eq=False)
class ConvBinary(_Convolution):
    """±1 by ±1: ``weight`` is int8 ±1; with ``interval`` (int32 [O, 2]) the output is bits and the epilogue unused.

    ``latent`` are the real numbers whose signs the weights are, in the same shape, and ``estimator`` is of the sign
    before it; only a teachable tail holds them.
    """

    op = Op.CONV_BINARY
    padding_value: int = 0
    interval: NDArray[np.int32] | None = None
    latent: NDArray[np.float32] | None = field(default=None, repr=False)
    estimator: Estimator = Estimator.CLIPPED

    def constants(self) -> list[Constant]:
        return [self.weight < 0, *self.epilogue.constants(), self.interval]

    def last_attribute(self) -> int:
        return self.padding_value


@dataclass(eq=False)
class ConvInt8(_Convolution):
    """A convolution in bytes: ``weight`` is int8, −127 to 127; the input becomes rint(x · multiplier) + zero_point."""

    op = Op.CONV_INT8
    multiplier: float = 1.0
    zero_point: int = 0

    def constants(self) -> list[Constant]:
        return [self.weight, *self.epilogue.constants(), np.array([self.multiplier], np.float32)]

    def last_attribute(self) -> int:
        return self.zero_point

    def check(self) -> None:
        if self.weight[0].size > MAX_INT8_TAPS:
            raise OnebitError(f"layer '{self.name}': a dot product of {self.weight[0].size} can overflow 32 bits")
        x, (top, left, bottom, right) = self.inputs[0], self.window.padding
        if (x.h + top + bottom) * (x.w + left + right) * x.c > MAX_ELEMENTS:
            raise OnebitError(f"layer '{self.name}': its input with padding has more than {MAX_ELEMENTS} elements")
        if not 0 <= self.zero_point <= 255 or not 0 < np.float32(self.multiplier) < np.inf:
            raise OnebitError(f"layer '{self.name}': no input is x · {self.multiplier} + {self.zero_point} in a byte")
        super().check()


@dataclass(eq=False)
class Binarize(Node):
    """Floats to bits: +1 inside ``interval`` (float32 [C, 2], inclusive)."""

    op = Op.BINARIZE
    interval: NDArray[np.float32]

    def constants(self) -> list[Constant]:
        return [self.interval]


@dataclass(eq=False)
class Pointwise(Node):
    """An epilogue of its own, where no convolution can take it."""

    op = Op.POINTWISE
    epilogue: Epilogue = field(default_factory=Epilogue)

    def constants(self) -> list[Constant]:
        return self.epilogue.constants()

    def attributes(self) -> list[int]:
        return [int(self.epilogue.activation)]


@dataclass(eq=False)
class MaxPool(Node):
    op = Op.MAX_POOL
    window: Window

    def attributes(self) -> list[int]:
        return [*self.window.kernel, *self.window.stride, *self.window.padding]

    def output_sides(self) -> tuple[int, int, int]:
        x = self.inputs[0]
        return *self.window.output_sides(x.h, x.w), x.c

    def check(self) -> None:
        self.window.check(f"layer '{self.name}'")
        super().check()


@dataclass(eq=False)
class AveragePool(MaxPool):
    op = Op.AVERAGE_POOL
    count_padding: bool = False

    def attributes(self) -> list[int]:
        return [*super().attributes(), int(self.count_padding)]


@dataclass(eq=False)
class PadChannels(Node):
    op = Op.PAD_CHANNELS
    before: int
    after: int

    def attributes(self) -> list[int]:
        return [self.before, self.after]

    def output_sides(self) -> tuple[int, int, int]:
        x = self.inputs[0]
        return x.h, x.w, x.c + self.before + self.after


@dataclass(eq=False)
class Graph:
    """Nodes in an order in which they can run, one float input, named outputs."""

    input: Value
    nodes: list[Node] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)

    def values(self) -> list[Value]:
        """Every value, the input first, then in the order of the nodes."""
        return [self.input, *(node.output for node in self.nodes)]

    def producer(self, value: Value) -> Node | None:
        return next((node for node in self.nodes if node.output is value), None)

    def consumers(self, value: Value) -> list[Node]:
        return [node for node in self.nodes if any(x is value for x in node.inputs)]

    def is_output(self, value: Value) -> bool:
        return any(output is value for output in self.outputs.values())

    def replace(self, old: Value, new: Value) -> None:
        """Every reader of ``old`` reads ``new`` from now on."""
        for node in self.nodes:
            node.inputs = [new if x is old else x for x in node.inputs]
        self.outputs = {name: new if value is old else value for name, value in self.outputs.items()}

    def remove_dead(self) -> None:
        """Drops nodes whose output nobody reads."""
        for node in reversed(self.nodes[:]):
            if not self.is_output(node.output) and not self.consumers(node.output):
                self.nodes.remove(node)

    def check(self) -> None:
        """Raises OnebitError unless the graph is within the rules and limits of the format."""
        _check_count("nodes", self.nodes, MAX_COUNT - 1)
        _check_count("outputs", list(self.outputs), MAX_OUTPUTS)
        known = {id(self.input)}
        for node in self.nodes:
            if not all(id(x) in known for x in node.inputs):
                raise OnebitError(f"layer '{node.name}' reads a value that no earlier layer makes")
            node.check()
            known.add(id(node.output))
        for value in self.values():
            if not all(1 <= side <= MAX_SIDE for side in value.sides) or np.prod(value.sides) > MAX_ELEMENTS:
                raise OnebitError(f"a value of {value.sides} (height, width, channels) is outside the format's limits")
        for name, value in self.outputs.items():
            if id(value) not in known or value.bits:
                raise OnebitError(f"output '{name}' is not a float value of the graph")


def _check_count(what: str, items: Sequence[object], maximum: int) -> None:
    if len(items) > maximum:
        raise OnebitError(f"the graph has {len(items)} {what}; the format holds {maximum}")
