"""Training without latent weights: the binary layers keep ±1 only, and an optimiser flips them.

Helwegen et al., "Latent Weights Do Not Exist", NeurIPS 2019, arXiv 1906.02107, and Suarez-Ramirez et al., "A Bop and
Beyond", CVPR Workshops 2021, arXiv 2104.05124. The rules of the flips stand in :mod:`onebit.methods.bit_flips`.

The weights of binary layers start as the signs of the network's initial ones. Their gradient is taken at ±1, as if
they were real numbers. All other parameters are the business of the recipe's optimiser (the papers take Adam), which
gets to see no gradient of the binary weights and so leaves them alone, its weight decay included.

γ goes from γ₀ to γ₁ over the run, γ_t = γ₀ (γ₁ / γ₀)^(t/N). The papers lower it in steps of ten (CIFAR-10) or linearly
(ImageNet).

**Departure.** The binary layers' inputs keep the network's quantisers, where the papers' CIFAR-10 network has the
clipped straight-through estimator.
"""

from typing import Any, Literal, get_args

import torch
from torch import nn

from onebit.cost.rule import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method
from onebit.methods.bit_flips import Bop, SecondOrderBop
from onebit.methods.layers import require_binary_layers
from onebit.quantize import IdentitySign, sign

Rule = Literal["bop", "second_order", "second_order_unbiased"]


class LatentFree(Method):
    """Bop, in the training loop of other methods; see the module's page.

    Args:
        rule: ``bop``, ``second_order`` (biased) or ``second_order_unbiased``.
        gamma: γ₀ and γ₁, or one number for both.
        threshold: τ.
        sigma: σ, of the second-order rules.

    Raises:
        OnebitError: another rule, γ or σ outside 0 to 1, a negative τ; and ``attach`` for a network without binary
            layers.

    Example:
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> method = LatentFree("bop", gamma=(1e-3, 1e-5))
        >>> method.attach(net)
        >>> net[0].weight.detach().unique()
        tensor([-1.,  1.])
        >>> net(torch.randn(2, 4, 5, 5)).square().sum().backward()
        >>> method.before_update()  # flips, and leaves nothing for another optimiser to do
        >>> net[0].weight.grad is None
        True
    """

    def __init__(
        self,
        rule: Rule = "bop",
        gamma: float | tuple[float, float] = (1e-3, 1e-5),
        threshold: float = 1e-8,
        sigma: float = 1e-2,
    ) -> None:
        if rule not in get_args(Rule):
            raise OnebitError(f"LatentFree: no rule '{rule}'", hint=f"choose from {', '.join(get_args(Rule))}")
        self.rule = rule
        self.gamma = (gamma, gamma) if isinstance(gamma, int | float) else gamma
        self.threshold = threshold
        self.sigma = sigma
        for value in self.gamma:
            self._make([nn.Parameter(torch.ones(1))], value)  # says what is wrong before a network is touched
        self._optimizer: Bop | None = None

    def attach(self, net: nn.Module) -> None:
        layers = require_binary_layers(net, "LatentFree")
        for layer in layers:
            layer.weight_quantizer = IdentitySign()
            layer.weight.data.copy_(sign(layer.weight))
        self._optimizer = self._make([layer.weight for layer in layers], self.gamma[0])

    def step(self, t: int, total: int) -> None:
        start, end = self.gamma
        for group in self._flips.param_groups:
            group["gamma"] = start * (end / start) ** (t / total)

    def before_update(self) -> None:
        self._flips.step()
        self._flips.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        return self._flips.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._flips.load_state_dict(state)

    def cost_rule(self) -> CostRule:
        """Operands of ±1; gradients have 32 bits. No latent weights, and one average a weight, or two."""
        slots = 1 if self.rule == "bop" else 2
        return CostRule((Widths(1.0, activation=1, weight=1),), latent=False, slots=slots)

    @property
    def _flips(self) -> Bop:
        if self._optimizer is None:
            raise OnebitError("LatentFree is attached to no network", hint="call attach(net) first")
        return self._optimizer

    def _make(self, weights: list[nn.Parameter], gamma: float) -> Bop:
        if self.rule == "bop":
            return Bop(weights, gamma, self.threshold)
        return SecondOrderBop(weights, gamma, self.threshold, self.sigma, self.rule == "second_order_unbiased")
