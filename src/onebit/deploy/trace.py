"""From a PyTorch network to the graph: every call of its torch.fx trace becomes nodes, with the example's shapes."""

import operator
from typing import Any, NoReturn

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

import onebit.deploy.layers  # noqa: F401  # registers what can be converted
from onebit.deploy.convert import Site, Wire, convert, converts, supported
from onebit.errors import OnebitError
from onebit.format.epilogue import Epilogue
from onebit.format.graph import AveragePool, Graph, MaxPool, Pointwise, Value
from onebit.format.window import Window
from onebit.nn import PadChannels, tracing

# Functions that a module stands for: it is made from what follows the input.
_MODULES: dict[Any, type[nn.Module]] = {
    functional.relu: nn.ReLU,
    torch.relu: nn.ReLU,
    "relu": nn.ReLU,
    functional.hardtanh: nn.Hardtanh,
    functional.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}
_ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
_MEANS = (torch.mean, "mean")
_RESHAPES = (torch.flatten, torch.reshape, "flatten", "reshape", "view", "contiguous")


class _Builder(fx.Interpreter):
    """Runs the trace on the example and adds each call to the graph."""

    def __init__(self, trace: fx.GraphModule, head: nn.Module | None) -> None:
        super().__init__(trace)
        self.head = head
        self.wires: dict[fx.Node, Wire] = {}
        self.result: Graph | None = None

    @property
    def building(self) -> Graph:
        assert self.result is not None  # the placeholder comes first
        return self.result

    def run_node(self, n: fx.Node) -> Any:
        y = super().run_node(n)
        if n.op == "placeholder":
            self._input(n, y)
        elif n.op == "output":
            self._output(n)
        elif isinstance(y, Tensor) and n.op != "get_attr":
            self.wires[n] = self._call(n, y)
        return y

    def _input(self, n: fx.Node, x: Tensor) -> None:
        if self.result is not None:
            raise OnebitError("the network has several inputs", hint="the format has one image as input")
        value = Value(x.shape[2], x.shape[3], x.shape[1])
        self.result = Graph(value)
        self.wires[n] = Wire(value, 4)

    def _output(self, n: fx.Node) -> None:
        (result,) = n.args
        if not isinstance(result, fx.Node) or result not in self.wires:
            raise OnebitError("the network does not return one tensor", hint="export a network that returns its logits")
        self.building.outputs = {"logits": self.wires[result].value, **self.building.outputs}

    def _call(self, n: fx.Node, y: Tensor) -> Wire:
        source = n.args[0] if n.args else None
        if not isinstance(source, fx.Node) or source not in self.wires:
            _refuse(n, "its input is not a layer's output")
        if n.op == "call_module":
            module = self.fetch_attr(str(n.target))
            if module is self.head:
                self.building.outputs["features"] = self.wires[source].value
            return self._convert(module, n, source, y)
        if n.target in _MODULES:
            return self._convert(_MODULES[n.target](*n.args[1:], **n.kwargs), n, source, y)
        if n.target is functional.dropout:
            return self.wires[source]  # in evaluation mode
        if n.target in _ADDITIONS:
            return self._addition(n, y)
        if n.target in _MEANS:
            return self._mean(n, source, y)
        if n.target in _RESHAPES:
            return self._reshape(n, source, y)
        if n.target is functional.pad:
            return self._pad(n, source, y)
        if n.target is operator.getitem:
            return self._every(n, source, y)
        _refuse(n, "the format has no operator for it")

    def _convert(self, module: nn.Module, n: fx.Node, source: fx.Node, y: Tensor) -> Wire:
        name = str(n.target) if n.op == "call_module" else n.name
        site = Site(self.building, name, type(module).__name__, self.wires[source], self.env[source], y)
        if not converts(module):
            site.refuse("the format has no operator for it")
        return convert(module, site)

    def _addition(self, n: fx.Node, y: Tensor) -> Wire:
        terms = [self.wires.get(term) if isinstance(term, fx.Node) else None for term in n.args]
        if len(terms) != 2 or None in terms or n.kwargs:
            _refuse(n, "only the sum of two layers' outputs is known")
        values = [term.value for term in terms if term is not None]
        if values[0].sides != values[1].sides:
            _refuse(n, f"the terms are {values[0].sides} and {values[1].sides} (height, width, channels)")
        node = Pointwise(n.name, values, Value(*values[0].sides), Epilogue())
        self.building.nodes.append(node)
        return Wire(node.output, y.dim())

    def _mean(self, n: fx.Node, source: fx.Node, y: Tensor) -> Wire:
        x, value = self.env[source], self.wires[source].value
        dims = n.args[1] if len(n.args) > 1 else n.kwargs.get("dim")
        axes = {d % x.dim() for d in ((dims,) if isinstance(dims, int) else dims or ())}  # type: ignore[union-attr]
        if x.dim() != 4 or axes != {2, 3}:
            _refuse(n, "only the mean over height and width is known")
        node = AveragePool(n.name, [value], Value(1, 1, value.c), Window((value.h, value.w)))
        self.building.nodes.append(node)
        return Wire(node.output, y.dim())

    def _reshape(self, n: fx.Node, source: fx.Node, y: Tensor) -> Wire:
        x, wire = self.env[source], self.wires[source]
        if y.shape == (x.shape[0], x[0].numel()) and (x.dim() == 4 or y.shape == x.shape):
            return Wire(wire.value, 2)
        if y.shape == x.shape or y.shape == (*x.shape, 1, 1):
            return Wire(wire.value, y.dim())
        _refuse(n, f"only flattening to (N, -1) is known, not {tuple(x.shape)} to {tuple(y.shape)}")

    def _pad(self, n: fx.Node, source: fx.Node, y: Tensor) -> Wire:
        """Zero channels, if the result says so."""
        x, pad = self.env[source], n.args[1] if len(n.args) > 1 else n.kwargs["pad"]
        before = pad[4] if isinstance(pad, tuple | list) and len(pad) == 6 else 0
        if x.dim() == y.dim() == 4 and isinstance(before, int) and 0 <= before <= y.shape[1] - x.shape[1]:
            module = PadChannels(before, y.shape[1] - x.shape[1] - before)
            if torch.equal(module(x), y):
                return self._convert(module, n, source, y)
        _refuse(n, "only zero channels before and after are known")

    def _every(self, n: fx.Node, source: fx.Node, y: Tensor) -> Wire:
        """x[:, :, ::a, ::b]: a max-pool of one position."""
        x, wire, index = self.env[source], self.wires[source], n.args[1]
        whole = slice(None)
        if isinstance(index, tuple) and len(index) == x.dim() == 4 and index[:2] == (whole, whole):
            steps = [part.step or 1 for part in index[2:] if isinstance(part, slice)]
            if len(steps) == 2 and torch.equal(x[:, :, :: steps[0], :: steps[1]], y):
                output = Value(y.shape[2], y.shape[3], wire.value.c)
                window = Window((1, 1), stride=(steps[0], steps[1]))
                self.building.nodes.append(MaxPool(n.name, [wire.value], output, window))
                return Wire(output, 4)
        _refuse(n, "only x[:, :, ::a, ::b] is known")


def _refuse(n: fx.Node, reason: str) -> NoReturn:
    what = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
    stack = list(n.meta.get("nn_module_stack", {}))
    within = f" in '{stack[-1]}'" if stack and n.op != "call_module" else ""
    raise OnebitError(
        f"operation '{n.name}' ({what}){within} cannot be exported: {reason}", hint=f"supported: {supported()}"
    )


@torch.no_grad()
def trace(net: nn.Module, example: Tensor) -> Graph:
    """The unfolded graph of a network, with the outputs ``logits`` and, where there is a ``head``, ``features``.

    Args:
        net: on the CPU, in evaluation mode.
        example: (N, C, H, W) float32.

    Raises:
        OnebitError: torch.fx cannot trace it, or a layer has no operator in the format; names the layer.
    """
    traced = fx.GraphModule(net, tracing.trace(net, lambda module, name: converts(module)))
    builder = _Builder(traced, getattr(net, "head", None))
    builder.run(example)
    return builder.building
