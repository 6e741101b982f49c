"""What every method offers, to any training loop."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from onebit.cost.rule import CostRule


class Method(ABC):
    """A way of training a binary network: what it puts into the network, does at each iteration and adds to the loss.

    In one's own loop: ``attach`` before the optimiser is made (methods may add parameters), then in iteration t of N
    ``step(t, N)`` before the forward pass and ``loss(loss)`` before the backward pass. With Lightning,
    :func:`onebit.methods.apply` does it.

    Everything that the trained network needs to answer lies in the network's own state dict; ``state_dict`` of the
    method holds what only training needs.
    """

    @abstractmethod
    def attach(self, net: nn.Module) -> None:
        """Puts the method's quantisers, parameters and hooks into ``net``, in place. Once a network."""

    def step(self, t: int, total: int) -> None:  # noqa: B027  # a method may have no schedule
        """Called before the forward pass of iteration ``t`` (from 0) of ``total``."""

    def loss(self, loss: Tensor) -> Tensor:
        """The training loss with the method's own terms."""
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and tensors, so that ``torch.load(weights_only=True)`` reads them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  # a method may have no state
        """Takes back what ``state_dict`` gave."""

    @abstractmethod
    def cost_rule(self) -> CostRule:
        """Operand widths over training, for the ledger."""
