"""The contract of a method: how it changes a network, and its part in each iteration and in the learning rates."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from onebit.cost.rule import CostRule
from onebit.errors import OnebitError
from onebit.methods.guard import watch
from onebit.nn import BinaryLayer, binary_layers


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with their own learning rate or weight decay.

    Args:
        parameters: parameters of the network, in no other group.
        lr_factor: factor of the optimiser's learning rate.
        decay: whether the optimiser's weight decay acts on them.
    """

    parameters: tuple[nn.Parameter, ...]
    lr_factor: float = 1.0
    decay: bool = True


class Method(ABC):
    """A way of training a binary network: its quantisers, its part in each iteration, and its terms of the loss.

    In a loop of your own, call ``attach`` before the optimiser is made (methods may add parameters). Parameters with
    their own learning rate or decay reach the optimiser by :func:`onebit.methods.optimizer_groups`. In iteration t of
    N, call ``step(t, N)`` before the forward pass, ``loss(loss)`` before the backward pass and ``before_update()``
    before the optimiser's step. With Lightning, :func:`onebit.methods.apply` calls ``step`` and ``before_update``.
    While the method lives, an optimiser of the network's parameters raises an OnebitError if a loop leaves out a call
    that the method needs (:mod:`onebit.methods.guard`).

    The network's own state dict has everything that the trained network needs to answer; ``state_dict`` of the method
    has the state that only training needs.
    """

    former_names: ClassVar[tuple[str, ...]] = ()  # by which older recipes and checkpoints call the class

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        watch(cls)

    @abstractmethod
    def attach(self, net: nn.Module) -> None:
        """Puts the method's quantisers, parameters and hooks into ``net``, in place. Call it once per network."""

    def step(self, t: int, total: int) -> None:  # noqa: B027  # a method may have no schedule
        """Called before the forward pass of iteration ``t`` (from 0) of ``total``."""

    def loss(self, loss: Tensor) -> Tensor:
        """The training loss with the method's own terms."""
        return loss

    def before_update(self) -> None:  # noqa: B027  # a method may look at no gradient
        """Called once per update, when the gradients are complete and before the optimiser's step.

        Complete: summed over the batches of an accumulated gradient, averaged over the processes of a distributed run
        and divided by the factor of a gradient scaler (``scaler.unscale_(optimizer)``), but not yet clipped.
        """

    def parameter_groups(self) -> list[ParameterGroup]:
        """Parameters of the method with another learning rate or without weight decay; known after ``attach``."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and tensors, so that ``torch.load(weights_only=True)`` reads them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  # a method may have no state
        """Restores the state that ``state_dict`` returned."""

    @abstractmethod
    def cost_rule(self) -> CostRule:
        """Operand widths over training, for the ledger."""


def optimizer_groups(
    parameters: Iterable[nn.Parameter], groups: Sequence[ParameterGroup], lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """The parameter groups for an optimiser of torch; frozen parameters are left out.

    Args:
        parameters: all of the network's.
        groups: a method's :meth:`~onebit.methods.Method.parameter_groups`.
        lr: the optimiser's learning rate.
        weight_decay: the optimiser's.

    Returns:
        first the parameters that are in no group, then the groups.

    Example:
        >>> net = nn.Linear(2, 2)
        >>> groups = optimizer_groups(net.parameters(), [ParameterGroup((net.bias,), 0.5, decay=False)], 0.1, 1e-5)
        >>> [(len(group["params"]), group["lr"], group["weight_decay"]) for group in groups]
        [(1, 0.1, 1e-05), (1, 0.05, 0.0)]
    """
    apart = {parameter for group in groups for parameter in group.parameters}
    rest = ParameterGroup(tuple(parameter for parameter in parameters if parameter not in apart))
    return [
        {
            "params": [parameter for parameter in group.parameters if parameter.requires_grad],
            "lr": lr * group.lr_factor,
            "weight_decay": weight_decay if group.decay else 0.0,
        }
        for group in (rest, *groups)
    ]


def require_binary_layers(net: nn.Module, owner: str) -> list[BinaryLayer]:
    """The network's binary layers; raises OnebitError in the name of ``owner`` if it has none.

    Example:
        >>> require_binary_layers(nn.Linear(2, 2), "ReCU")
        Traceback (most recent call last):
        ...
        onebit.errors.OnebitError: ReCU: the network has no binary layer (build it without full_precision, or call ...)
    """
    layers = [layer for _, layer in binary_layers(net)]
    if not layers:
        raise OnebitError(
            f"{owner}: the network has no binary layer",
            hint="build it without full_precision, or call onebit.nn.binarize(net)",
        )
    return layers
