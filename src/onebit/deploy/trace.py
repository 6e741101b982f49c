"""From a PyTorch network to the graph: every call of its torch.fx trace becomes nodes, with the example's shapes.

The trace is run on the example, and what happens to the tensors is watched: after an operation in place every name of
the memory stands for the new numbers, as it does in PyTorch.
"""

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

import onebit.deploy.layers  # noqa: F401  # registers what can be converted
from onebit.deploy.convert import Site, Wire, convert, converts, obstacle, supported
from onebit.errors import OnebitError
from onebit.format.epilogue import Epilogue
from onebit.format.graph import AveragePool, Graph, MaxPool, Pointwise, Value
from onebit.format.window import Window
from onebit.nn import BinaryLayer, PadChannels, tracing

# Functions that a module stands for: it is made from what follows the input.
_MODULES: dict[Any, type[nn.Module]] = {
    functional.relu: nn.ReLU,
    functional.relu_: nn.ReLU,
    torch.relu: nn.ReLU,
    torch.relu_: nn.ReLU,
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    functional.leaky_relu: nn.LeakyReLU,
    functional.hardtanh: nn.Hardtanh,
    functional.hardtanh_: nn.Hardtanh,
    torch.clamp: nn.Hardtanh,
    "clamp": nn.Hardtanh,
    "clamp_": nn.Hardtanh,
    functional.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}
_ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
_MEANS = (torch.mean, "mean")
_RESHAPES = (torch.flatten, torch.reshape, torch.squeeze, "flatten", "reshape", "view", "squeeze", "unsqueeze")
_COPIES = (torch.clone, torch.detach, "clone", "detach", "contiguous", "float", "to", "cpu", "type", "type_as")
_DROPOUTS = (functional.dropout, functional.dropout2d)
_SOFTMAXES = (
    *(nn.Softmax, nn.LogSoftmax, functional.softmax, functional.log_softmax),
    *(torch.softmax, torch.log_softmax, "softmax", "log_softmax"),
)
_SHAPES = ("size", "dim", "ndimension", "numel", "stride", "is_contiguous", torch.numel)
_SHAPE_ATTRIBUTES = ("shape", "ndim", "dtype", "device", "layout", "is_cuda", "requires_grad")


@dataclass(frozen=True)
class Trace:
    """The calls of a network, the unfolded graph that they make, and which of its values each call gives.

    ``logits`` is the call whose result the graph's output ``logits`` is; a softmax behind it is left away.
    """

    calls: fx.GraphModule
    graph: Graph
    values: dict[fx.Node, Value]
    logits: fx.Node

    @property
    def softmax(self) -> bool:
        """Whether one was left away."""
        return [user.op for user in self.logits.users] != ["output"]


class _Builder(fx.Interpreter):
    """Runs the trace on the example and adds each call to the graph."""

    def __init__(self, calls: fx.GraphModule, head: nn.Module | None) -> None:
        super().__init__(calls)
        self.head = head
        self.wires: dict[fx.Node, Wire] = {}
        self.made: dict[fx.Node, Value] = {}  # as it was when the call returned
        self.overwritten: dict[fx.Node, fx.Node] = {}  # what was changed in part, and the call that did it
        self.of_image: set[fx.Node] = set()  # whatever is computed from the image, its shape apart
        self.numbers: set[fx.Node] = set()  # those of them that hold no tensor
        self.before: dict[fx.Node, Tensor] = {}  # what the call reads, as it was
        self.logits: fx.Node | None = None
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        self.result: Graph | None = None

    @property
    def building(self) -> Graph:
        assert self.result is not None  # the placeholder comes first
        return self.result

    def run_node(self, n: fx.Node) -> Any:
        held = {node: self.env[node]._version for node in self.wires if node in self.env}
        self.before = {node: self.env[node].clone() for node in n.all_input_nodes if node in held}
        self.args, self.kwargs = self.fetch_args_kwargs_from_env(n)
        with _returning(self.fetch_attr(str(n.target)) if n.op == "call_module" else None) as hooks:
            y = super().run_node(n)
        if hooks:
            _refuse(n, f"its {hooks[0]} returns a value")
        if n.op == "placeholder":
            self._input(n, y)
            return y
        for node in n.all_input_nodes:
            if node in self.overwritten:
                _refuse(n, f"it reads what '{self.overwritten[node].name}' changed in place")
        if n.op == "output":
            self._output(n)
        elif any(node in self.of_image for node in n.all_input_nodes) and not self._of_shape(n):
            self.of_image.add(n)
            if isinstance(y, Tensor):
                self.wires[n] = self._call(n, y)
                if self.logits is None:
                    self.made[n] = self.wires[n].value
            elif not isinstance(y, tuple):  # chunk, split and max give tensors in one
                self.numbers.add(n)
        for node, version in held.items():
            if self.env[node]._version != version:
                self._written(node, n, y)
        return y

    def _of_shape(self, n: fx.Node) -> bool:
        """Whether a call that gives no tensor asks for the sides or the type of one."""
        if n.op == "call_function" and n.target is getattr:
            return self.args[1] in _SHAPE_ATTRIBUTES
        return n.target in _SHAPES

    def _written(self, node: fx.Node, n: fx.Node, y: Any) -> None:
        """A call wrote to the tensor of ``node``: it is the call's result from now on, or of no use."""
        x = self.env[node]
        same = isinstance(y, Tensor) and n in self.wires and x.data_ptr() == y.data_ptr() and x.numel() == y.numel()
        if same and (x.stride() == y.stride() or (x.is_contiguous() and y.is_contiguous())):
            self.wires[node] = replace(self.wires[n], rank=x.dim())
        else:
            self.overwritten[node] = n

    def _input(self, n: fx.Node, x: Tensor) -> None:
        value = Value(x.shape[2], x.shape[3], x.shape[1])
        self.result = Graph(value)
        self.wires[n] = Wire(value, 4)
        self.of_image.add(n)

    def _output(self, n: fx.Node) -> None:
        (result,) = n.args
        if not isinstance(result, fx.Node) or result not in self.wires:
            raise OnebitError("the network does not return one tensor", hint="export a network that returns its logits")
        self.logits = self.logits or result
        self.building.outputs = {"logits": self.wires[result].value, **self.building.outputs}

    def _call(self, n: fx.Node, y: Tensor) -> Wire:
        for node in n.all_input_nodes:
            if node in self.numbers:
                _refuse(n, f"'{node.name}' is computed from the image, and the file would keep that of the example")
        if y.dtype != torch.float32:
            _refuse(n, f"it gives {y.dtype}")
        source = n.args[0] if n.args else None
        if not isinstance(source, fx.Node) or source not in self.wires:
            _refuse(n, "its first input is not a layer's output")
        module = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        if n.target in _SOFTMAXES or type(module) in _SOFTMAXES:
            return self._softmax(n, source, y, getattr(module, "dim", None))
        if module is not None:
            if module is self.head:
                self.building.outputs["features"] = self.wires[source].value
            return self._convert(module, n, source, y)
        if n.target in _MODULES:
            return self._convert(self._module(n), n, source, y)
        if n.target in _DROPOUTS:
            return self._dropout(n, source)
        if n.target in _COPIES and y.shape == self.before[source].shape:
            return self.wires[source]
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

    def _module(self, n: fx.Node) -> nn.Module:
        kind = _MODULES[n.target]
        try:
            if not any(isinstance(part, Tensor) for part in (*self.args[1:], *self.kwargs.values())):
                return kind(*self.args[1:], **self.kwargs)
        except (TypeError, AssertionError):
            pass
        _refuse(n, f"its arguments are not those of {kind.__name__}")

    def _softmax(self, n: fx.Node, source: fx.Node, y: Tensor, dim: int | None) -> Wire:
        """It changes no top-1, and who reads the file's logits takes the softmax of them."""
        if dim is None:
            dim = self.args[1] if len(self.args) > 1 else self.kwargs.get("dim")
        if dim not in (1, 1 - y.dim()) or [user.op for user in n.users] != ["output"]:
            _refuse(n, "only a softmax of the logits that ends the network is known, which is left away")
        self.logits = source
        return self.wires[source]

    def _dropout(self, n: fx.Node, source: fx.Node) -> Wire:
        if self.args[2] if len(self.args) > 2 else self.kwargs.get("training", True):
            _refuse(n, "it drops in evaluation, too (pass training=self.training)")
        return self.wires[source]

    def _convert(self, module: nn.Module, n: fx.Node, source: fx.Node, y: Tensor) -> Wire:
        name = str(n.target) if n.op == "call_module" else n.name
        site = Site(self.building, name, type(module).__name__, self.wires[source], self.before[source], y)
        reason = obstacle(module)
        if reason is not None:
            site.refuse(reason)
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
        x, value = self.before[source], self.wires[source].value
        dims = self.args[1] if len(self.args) > 1 else self.kwargs.get("dim")
        axes = {d % x.dim() for d in ((dims,) if isinstance(dims, int) else dims or ())}
        if x.dim() != 4 or axes != {2, 3}:
            _refuse(n, "only the mean over height and width is known")
        node = AveragePool(n.name, [value], Value(1, 1, value.c), Window((value.h, value.w)))
        self.building.nodes.append(node)
        return Wire(node.output, y.dim())

    def _reshape(self, n: fx.Node, source: fx.Node, y: Tensor) -> Wire:
        x, wire = self.before[source], self.wires[source]
        if y.shape == (x.shape[0], x[0].numel()) and (x.dim() == 4 or y.shape == x.shape):
            return Wire(wire.value, 2)
        if y.shape == x.shape or y.shape == (*x.shape, 1, 1):
            return Wire(wire.value, y.dim())
        _refuse(n, f"only flattening to (N, -1) is known, not {tuple(x.shape)} to {tuple(y.shape)}")

    def _pad(self, n: fx.Node, source: fx.Node, y: Tensor) -> Wire:
        """Zero channels: ``pad`` begins with the last dimension."""
        pad, mode, value = (*self.args[1:], *(None,) * 3)[:3]
        pad, mode, value = self.kwargs.get("pad", pad), self.kwargs.get("mode", mode), self.kwargs.get("value", value)
        if mode in (None, "constant") and not value and len(pad) == 6 and not any(pad[:4]) and min(pad) >= 0:
            return self._convert(PadChannels(pad[4], pad[5]), n, source, y)
        _refuse(n, "only zero channels before and after are known")

    def _every(self, n: fx.Node, source: fx.Node, y: Tensor) -> Wire:
        """x[:, :, ::a, ::b]: a max-pool of one position."""
        x, wire, index = self.before[source], self.wires[source], self.args[1]
        whole = (slice(None), slice(None, None, 1), slice(0, None), slice(0, None, 1))
        if isinstance(index, tuple) and len(index) == x.dim() == 4 and index[0] in whole and index[1] in whole:
            steps = [
                part.step or 1 for part in index[2:] if isinstance(part, slice) and not part.start and part.stop is None
            ]
            if len(steps) == 2:
                output = Value(y.shape[2], y.shape[3], wire.value.c)
                window = Window((1, 1), stride=(steps[0], steps[1]))
                self.building.nodes.append(MaxPool(n.name, [wire.value], output, window))
                return Wire(output, 4)
        _refuse(n, "only x[:, :, ::a, ::b] is known")


@contextmanager
def _returning(module: nn.Module | None) -> Iterator[list[str]]:
    """Notes which hooks of a module return something: those that only look return nothing."""
    noted: list[str] = []

    def watched(hook: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = hook(*args, **kwargs)
            if result is not None:
                noted.append(name)
            return result

        return call

    kinds = {} if module is None else {"forward hook": module._forward_hooks, "pre-hook": module._forward_pre_hooks}
    before = {name: dict(hooks) for name, hooks in kinds.items()}
    for name, hooks in kinds.items():
        hooks.update({key: watched(hook, name) for key, hook in hooks.items()})
    try:
        yield noted
    finally:
        for name, hooks in kinds.items():
            hooks.update(before[name])


def _refuse(n: fx.Node, reason: str) -> NoReturn:
    if n.op == "call_module":
        raise OnebitError(f"layer '{n.target}' cannot be exported: {reason}", hint=f"supported: {supported()}")
    what = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))
    stack = list(n.meta.get("nn_module_stack", {}))
    within = f" in '{stack[-1]}'" if stack else ""
    raise OnebitError(
        f"operation '{n.name}' ({what}){within} cannot be exported: {reason}", hint=f"supported: {supported()}"
    )


@torch.no_grad()
def trace(net: nn.Module, example: Tensor) -> Trace:
    """Follows a network; its graph has the outputs ``logits`` and, where there is a ``head``, ``features``.

    Args:
        net: on the CPU, in evaluation mode.
        example: (N, C, H, W) float32.

    Raises:
        OnebitError: torch.fx cannot trace it, it fails on the example, or a layer has no operator in the format; names
            the layer.
    """
    calls = tracing.trace(net, lambda module, name: converts(module) or isinstance(module, BinaryLayer))
    builder = _Builder(calls, getattr(net, "head", None))
    try:
        builder.run(example.clone())
    except (RuntimeError, TypeError, ValueError, IndexError) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise OnebitError(
            f"the network fails on the example: {reason}", hint="give images of the size that it was built for"
        ) from problem
    assert builder.logits is not None  # the output comes last
    return Trace(calls, builder.building, builder.made, builder.logits)
