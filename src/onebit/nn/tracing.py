"""The graph of a network, as torch.fx records it."""

from collections.abc import Callable

from torch import fx, nn

from onebit.errors import OnebitError


def trace(net: nn.Module, whole: Callable[[nn.Module, str], bool]) -> fx.Graph:
    """The calls of a network; a module for which ``whole(module, name)`` holds is one call, as those of torch.nn are.

    Raises:
        OnebitError: torch.fx cannot trace it.

    Example:
        >>> net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU()))
        >>> [node.target for node in trace(net, lambda module, name: name == "1").nodes]
        ['input', '0', '1', 'output']
    """
    try:
        return _Tracer(whole).trace(net)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise OnebitError(
            f"{type(net).__name__} cannot be traced by torch.fx: {reason}",
            hint="its forward may not depend on the values of tensors",
        ) from problem


class _Tracer(fx.Tracer):
    def __init__(self, whole: Callable[[nn.Module, str], bool]) -> None:
        super().__init__()
        self.whole = whole

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return self.whole(module, name) or super().is_leaf_module(module, name)
