"""The graph of a network, as torch.fx records it."""

import operator
from collections.abc import Callable
from typing import Any

from torch import fx, nn

from onebit.errors import OnebitError

_ROOT = "network"


def trace(net: nn.Module, whole: Callable[[nn.Module, str], bool]) -> fx.GraphModule:
    """The calls of a network; a module for which ``whole(module, name)`` holds is one call, as those of torch.nn are.

    The network is called, as its user would call it: its own hooks and a replaced ``forward`` are recorded, too.
    Arguments that have a default keep it.

    Raises:
        OnebitError: torch.fx cannot trace it.

    Example:
        >>> net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU()))
        >>> [node.target for node in trace(net, lambda module, name: name == "1").graph.nodes]
        ['image', '0', '1', 'output']
    """
    caller = _Caller(net)
    try:
        graph = _Tracer(whole).trace(caller)
    except (fx.proxy.TraceError, TypeError, RuntimeError, AttributeError) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise OnebitError(
            f"{type(net).__name__} cannot be traced by torch.fx: {reason}",
            hint="its forward takes one image and may not depend on the values of tensors",
        ) from problem
    parts: dict[str, Any] = {}
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr"):
            part = operator.attrgetter(node.target)(caller)
            node.target = _below(node.target)
            parts[node.target] = part
        modules = node.meta.get("nn_module_stack", {})
        node.meta["nn_module_stack"] = {_below(name): kind for name, kind in modules.items() if name != _ROOT}
    return fx.GraphModule(parts, graph)


def _below(name: str) -> str:
    """The name within the network; a network that is one layer keeps ``network``."""
    return name.removeprefix(f"{_ROOT}.")


class _Caller(nn.Module):
    """Calls the network: torch.fx itself begins at the ``forward`` of a class, and would pass the call by."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.network = net

    def forward(self, image: Any) -> Any:
        return self.network(image)


class _Proxy(fx.Proxy):
    """Records what a statement does in place, which torch.fx takes for a new tensor, or refuses."""

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, key, value), {})


def _recorded(function: Callable[..., Any]) -> Callable[[_Proxy, Any], fx.Proxy]:
    return lambda self, other: self.tracer.create_proxy("call_function", function, (self, other), {})


for _name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "iand", "ior", "ixor"):
    setattr(_Proxy, f"__{_name}__", _recorded(getattr(operator, _name)))


class _Tracer(fx.Tracer):
    def __init__(self, whole: Callable[[nn.Module, str], bool]) -> None:
        super().__init__()
        self.whole = whole

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return self.whole(module, _below(name)) or super().is_leaf_module(module, name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)
