"""Refuses a training loop that leaves out a call that a method needs.

Such a loop would still train, but something else: without ``before_update`` RBONN has no recurrence and Bop flips no
bit; without ``loss`` a distilled network does not see its teacher; and parameters that a method added are not trained
if the optimiser was made before them. So after every step of an optimiser that holds parameters of a network, the calls
of each attached method are checked, as long as that method is alive.
"""

import math
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from onebit.errors import OnebitError

if TYPE_CHECKING:
    from onebit.methods.base import Method

HOOKS = ("step", "loss", "before_update")
Hook = Callable[..., Any]
_guards: dict[int, "Guard"] = {}  # by the id of a method that is alive
_running: list[str] = []  # hooks, in which a method's own optimiser may step


class Guard:
    """Counts the calls of one method's hooks, and compares them with the updates of its network.

    Args:
        method: attached to ``net``.
        net: with the parameters that ``method`` has given it.
        added: parameters that ``method`` added.
        hooks: those of ``HOOKS`` that ``method`` defines.
    """

    def __init__(self, method: "Method", net: nn.Module, added: list[nn.Parameter], hooks: list[str]) -> None:
        self.method, self.net = weakref.ref(method), weakref.ref(net)
        self.added, self.hooks = added, hooks
        self.calls: Counter[str] = Counter()
        # the calls at the last update by each optimiser; None for an optimiser of other parameters
        self.seen: weakref.WeakKeyDictionary[Optimizer, Counter[str] | None] = weakref.WeakKeyDictionary()

    def check(self, optimizer: Optimizer) -> None:
        """Raises OnebitError if ``optimizer``, which has just stepped, did so without the method."""
        method, net = self.method(), self.net()
        if method is None or net is None:
            return
        if optimizer not in self.seen:
            held = _ids([optimizer])
            mine = any(id(parameter) in held for parameter in net.parameters())
            self.seen[optimizer] = Counter() if mine else None
            if mine:
                self._check_groups(method, optimizer)
        before = self.seen[optimizer]
        if before is None or all(p.grad is None for group in optimizer.param_groups for p in group["params"]):
            return
        name = type(method).__name__
        missing = [hook for hook in self.hooks if self.calls[hook] == before[hook]]
        if missing:
            raise OnebitError(
                f"{name}: the optimiser stepped, but nobody called {' or '.join(missing)}",
                hint="in each iteration: method.step(t, total), method.loss(loss), method.before_update()",
            )
        if before["update"] == 1:  # the second, so that every optimiser of the network has had its first
            held = _ids([other for other, own in self.seen.items() if own is not None])
            lost = sum(1 for p in self.added if p.requires_grad and p.grad is not None and id(p) not in held)
            if lost:
                raise OnebitError(
                    f"{name}: {lost} of the parameters that it added are in no optimiser",
                    hint="make the optimiser after method.attach(net)",
                )
        self.seen[optimizer] = self.calls + Counter(update=before["update"] + 1)

    @staticmethod
    def _check_groups(method: "Method", optimizer: Optimizer) -> None:
        """The optimiser's groups have the decay and the ratio of learning rates that the method asks for."""
        for wanted in method.parameter_groups():
            own = {id(parameter) for parameter in wanted.parameters}
            groups: list[dict[str, Any]] = []
            others: list[dict[str, Any]] = []
            for group in optimizer.param_groups:
                (groups if any(id(p) in own for p in group["params"]) else others).append(group)
            rates = [float(group["lr"]) for group in others if "lr" in group]
            for group in groups:
                rate = float(group.get("lr", 0))
                other = wanted.lr_factor != 1 and not any(math.isclose(rate, wanted.lr_factor * r) for r in rates)
                if other or (not wanted.decay and group.get("weight_decay", 0) != 0):
                    raise OnebitError(
                        f"{type(method).__name__}: its parameters have no learning rate or decay of their own",
                        hint="give the optimiser methods.optimizer_groups(net.parameters(), method.parameter_groups(), "
                        "lr, weight_decay)",
                    )


def watch(kind: type["Method"]) -> None:
    """Replaces the hooks that a class of methods defines by ones whose calls are counted."""
    wrappers: dict[str, Callable[[Hook], Hook]] = {"attach": _attaching, **dict.fromkeys(HOOKS, _counted)}
    for name, wrapper in wrappers.items():
        if name in vars(kind):
            setattr(kind, name, wrapper(vars(kind)[name]))


def _counted(hook: Hook) -> Hook:
    @wraps(hook)
    def call(method: "Method", *args: Any, **named: Any) -> Any:
        if id(method) in _guards:
            _guards[id(method)].calls[hook.__name__] += 1
        _running.append(hook.__name__)
        try:
            return hook(method, *args, **named)
        finally:
            _running.pop()

    return call


def _attaching(attach: Hook) -> Hook:
    @wraps(attach)
    def call(method: "Method", net: nn.Module) -> None:
        if "attach" not in _running:  # a method may attach others, as Compose does
            for guard in _guards.values():
                other = guard.method()
                if other is not None and guard.net() is net:
                    raise OnebitError(
                        f"{type(method).__name__}: the network already has {type(other).__name__}",
                        hint="attach several at once: methods.Compose([...]); or build the network anew",
                    )
        before = {id(parameter) for parameter in net.parameters()}
        _running.append("attach")
        try:
            attach(method, net)
        finally:
            _running.pop()
        added = [parameter for parameter in net.parameters() if id(parameter) not in before]
        hooks = [name for name in HOOKS if hasattr(getattr(method, name), "__wrapped__")]
        if id(method) not in _guards:
            weakref.finalize(method, _guards.pop, id(method), None)
        _guards[id(method)] = Guard(method, net, added, hooks)
        _watch_optimizers()

    return call


@cache
def _watch_optimizers() -> None:
    register_optimizer_step_post_hook(_check)


def _check(optimizer: Optimizer, *_: Any) -> None:
    if not _running and not torch.compiler.is_compiling():
        for guard in list(_guards.values()):
            guard.check(optimizer)


def _ids(optimizers: Iterable[Optimizer]) -> set[int]:
    """The ids of all parameters that the optimisers hold."""
    return {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
