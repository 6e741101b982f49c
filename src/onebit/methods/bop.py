"""Bop: binary layers that keep ±1 only, and an optimiser that flips them; no latent weights.

Helwegen et al., "Latent Weights Do Not Exist: Rethinking Binarized Neural Network Optimization", NeurIPS 2019,
arXiv 1906.02107, and Suarez-Ramirez et al., "A Bop and Beyond", CVPR Workshops 2021, arXiv 2104.05124.

**Flips.** g is the gradient at the weights ±1, in iteration t = 1, 2, ... Bop (the first paper's algorithm 1):

    m ← (1 − γ) m + γ g
    w ← −w    where w m > τ

Second-order Bop (the second paper):

    m ← (1 − γ) m + γ g,    v ← (1 − σ) v + σ g²
    w ← −w    where w m / (√v + 1e-10) > τ                      biased
    w ← −w    where w m̂ / (√v̂ + 1e-10) > τ                      unbiased

    m̂ = m / (1 − (1 − γ)ᵗ),    v̂ = v / (1 − (1 − σ)ᵗ)

m and v start at 0.

**In a network.** The weights of binary layers start as the signs of the network's initial ones. Their
gradient is taken at ±1, as if they were real numbers. All other parameters are trained by the run's own optimiser (Adam
in the papers). It sees no gradient of the binary weights, so it does not change them, not even by weight decay.

γ goes from γ₀ to γ₁ over the run, γ_t = γ₀ (γ₁ / γ₀)^(t/N). The papers lower it in steps of ten (CIFAR-10) or linearly
(ImageNet).

**Departures.** The binary layers' inputs keep the network's quantisers, where the papers' CIFAR-10 network has the
clipped straight-through estimator. The released codes set a weight with w m = τ to +1; here it stays.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from onebit.cost.rule import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods.base import Method, require_binary_layers
from onebit.quantize import IdentitySign, sign

Rule = Literal["bop", "second_order", "second_order_unbiased"]


class Bop(Method):
    """Training without latent weights, in the training loop of other methods; see the module's page.

    Args:
        rule: ``bop``, ``second_order`` (biased) or ``second_order_unbiased``.
        gamma: γ₀ and γ₁, or one number for both.
        threshold: τ.
        sigma: σ, of the second-order rules.

    Raises:
        OnebitError: another rule (or parameters, which :class:`BopOptimizer` takes), γ or σ outside 0 to 1, a negative
            τ; and ``attach`` for a network without binary layers.

    Example:
        >>> from onebit.nn import BinaryConv2d
        >>> net = nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8))
        >>> method = Bop("bop", gamma=(1e-3, 1e-5))
        >>> method.attach(net)
        >>> net[0].weight.detach().unique()
        tensor([-1.,  1.])
        >>> net(torch.randn(2, 4, 5, 5)).square().sum().backward()
        >>> method.before_update()  # flips, and leaves nothing for another optimiser to do
        >>> net[0].weight.grad is None
        True
    """

    former_names = ("LatentFree",)

    def __init__(
        self,
        rule: Rule = "bop",
        gamma: float | tuple[float, float] = (1e-3, 1e-5),
        threshold: float = 1e-8,
        sigma: float = 1e-2,
    ) -> None:
        if not isinstance(rule, str):
            raise OnebitError(
                f"Bop: the rule is of type {type(rule).__name__}",
                hint="Bop is the method; the optimiser of given parameters is BopOptimizer",
            )
        if rule not in get_args(Rule):
            raise OnebitError(f"Bop: no rule '{rule}'", hint=f"choose from {', '.join(get_args(Rule))}")
        self.rule = rule
        self.gamma = (gamma, gamma) if isinstance(gamma, int | float) else gamma
        self.threshold = threshold
        self.sigma = sigma
        for value in self.gamma:
            self._make([nn.Parameter(torch.ones(1))], value)  # says what is wrong before a network is touched
        self._optimizer: BopOptimizer | None = None

    def attach(self, net: nn.Module) -> None:
        layers = require_binary_layers(net, "Bop")
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
        """Operands are ±1, gradients have 32 bits. There are no latent weights, but one or two averages per weight."""
        slots = 1 if self.rule == "bop" else 2
        return CostRule((Widths(1.0, activation=1, weight=1),), latent=False, slots=slots)

    @property
    def _flips(self) -> "BopOptimizer":
        if self._optimizer is None:
            raise OnebitError("Bop is attached to no network", hint="call attach(net) first")
        return self._optimizer

    def _make(self, weights: list[nn.Parameter], gamma: float) -> "BopOptimizer":
        if self.rule == "bop":
            return BopOptimizer(weights, gamma, self.threshold)
        return SecondOrderBopOptimizer(weights, gamma, self.threshold, self.sigma, self.rule == "second_order_unbiased")


class BopOptimizer(Optimizer):
    """The binary optimiser of the method :class:`Bop`, for parameters of one's own.

    Args:
        parameters: of ±1 only.
        gamma: γ, the adaptivity: the share of the new gradient.
        threshold: τ.

    Raises:
        OnebitError: γ outside 0 to 1 or a negative τ; and ``step`` for a parameter with another value than ±1.

    Reference: arXiv 1906.02107; the defaults are those of its experiments on CIFAR-10.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0, 1.0, -1.0]))
        >>> optimizer = BopOptimizer([w], gamma=0.5, threshold=0.1)
        >>> w.grad = torch.tensor([1.0, -1.0, 1.0])
        >>> optimizer.step()
        >>> w.data
        tensor([-1.,  1., -1.])
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], gamma: float = 1e-4, threshold: float = 1e-8, **more: Any
    ) -> None:
        for name, share in {"gamma": gamma, "sigma": more.get("sigma", gamma)}.items():
            if not 0 < share <= 1:
                raise OnebitError(f"{type(self).__name__}: {name} is {share}", hint="above 0, at most 1")
        if threshold < 0:
            raise OnebitError(f"{type(self).__name__}: threshold is {threshold}", hint="zero or more")
        super().__init__(parameters, {"gamma": gamma, "threshold": threshold, **more})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    _check(w)
                    flips = w * self.inertia(w, group) > group["threshold"]
                    w.copy_(torch.where(flips, -w, w))
        return loss

    def inertia(self, w: nn.Parameter, group: dict[str, Any]) -> Tensor:
        """The average that τ is compared with, in the shape of ``w``; includes its gradient."""
        return self._average(w, "m", w.grad, group["gamma"])

    def _average(self, w: nn.Parameter, name: str, value: Tensor | None, share: float) -> Tensor:
        state = self.state[w]
        if name not in state:
            state[name] = torch.zeros_like(w)
        # a state that was loaded before the network moved to its device lies on the other one
        state[name] = state[name].to(w.device)
        return state[name].lerp_(value, share)


class SecondOrderBopOptimizer(BopOptimizer):
    """The binary optimiser with the gradient's second moment.

    Args:
        parameters: of ±1 only.
        gamma: γ.
        threshold: τ.
        sigma: σ, the share of the new gradient in the second moment.
        unbiased: corrects both moments for their start at 0.

    Raises:
        OnebitError: γ or σ outside 0 to 1, a negative τ; and ``step`` for a parameter with another value than ±1.

    Reference: arXiv 2104.05124; the defaults are those of its released code.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0, 1.0, -1.0]))
        >>> optimizer = SecondOrderBopOptimizer([w], gamma=0.5, threshold=0.9, sigma=0.5, unbiased=True)
        >>> w.grad = torch.tensor([1e-6, -1.0, 1.0])
        >>> optimizer.step()
        >>> w.data  # however small the gradient is
        tensor([-1.,  1., -1.])
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        gamma: float = 1e-6,
        threshold: float = 1e-6,
        sigma: float = 1e-2,
        unbiased: bool = False,
    ) -> None:
        super().__init__(parameters, gamma, threshold, sigma=sigma, unbiased=unbiased)

    def inertia(self, w: nn.Parameter, group: dict[str, Any]) -> Tensor:
        gamma, sigma, state = group["gamma"], group["sigma"], self.state[w]
        m = self._average(w, "m", w.grad, gamma)
        v = self._average(w, "v", w.grad.square() if w.grad is not None else None, sigma)
        if group["unbiased"]:
            # γ may change over training, so the weights that the averages lack are kept as products
            state["m_lack"] = state.get("m_lack", 1.0) * (1 - gamma)
            state["v_lack"] = state.get("v_lack", 1.0) * (1 - sigma)
            m, v = m / (1 - state["m_lack"]), v / (1 - state["v_lack"])
        return m / (v.sqrt() + 1e-10)


def _check(w: Tensor) -> None:
    if not bool((w.abs() == 1).all()):
        raise OnebitError("Bop got a weight that is not ±1", hint="set it to its sign first: w.copy_(sign(w))")
