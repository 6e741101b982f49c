"""What every method offers, to any training loop."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from onebit.cost.rule import CostRule
from onebit.methods.parameters import ParameterGroup


class Method(ABC):
    """A way of training a binary network: what it puts into the network, does at each iteration and adds to the loss.

    In one's own loop: ``attach`` before the optimiser is made (methods may add parameters), then in iteration t of N
    ``step(t, N)`` before the forward pass, ``loss(loss)`` before the backward pass and ``before_update()`` before the
    optimiser's step. With Lightning, :func:`onebit.methods.apply` does it. Parameters with a learning rate of their own
    reach an optimiser by :func:`onebit.methods.optimizer_groups`.

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

    def before_update(self) -> None:  # noqa: B027  # a method may look at no gradient
        """Called once an iteration, when the gradients are complete and before the optimiser's step.

        Complete: summed over the batches of an accumulated gradient, averaged over the processes of a distributed run
        and divided by the factor of a gradient scaler (``scaler.unscale_(optimizer)``), but not yet clipped.
        """

    def parameter_groups(self) -> list[ParameterGroup]:
        """Parameters of the method that want another learning rate or no weight decay; known after ``attach``."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and tensors, so that ``torch.load(weights_only=True)`` reads them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  # a method may have no state
        """Takes back what ``state_dict`` gave."""

    @abstractmethod
    def cost_rule(self) -> CostRule:
        """Operand widths over training, for the ledger."""
