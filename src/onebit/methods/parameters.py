"""Parameters that a method wants trained otherwise than the rest of the network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with a learning rate or a weight decay of their own.

    Args:
        parameters: of the network, in no other group.
        lr_factor: of the optimiser's learning rate.
        decay: whether the optimiser's weight decay acts on them.
    """

    parameters: tuple[nn.Parameter, ...]
    lr_factor: float = 1.0
    decay: bool = True


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
