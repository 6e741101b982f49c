"""Optimisers that flip bits: of weights that are ±1 and have no latent value behind them.

g is the gradient at the weights ±1, in iteration t = 1, 2, ...

**Bop** (Helwegen et al., "Latent Weights Do Not Exist", NeurIPS 2019, arXiv 1906.02107, algorithm 1):

    m ← (1 − γ) m + γ g
    w ← −w    where w m > τ

**Second-order Bop** (Suarez-Ramirez et al., "A Bop and Beyond", CVPR Workshops 2021, arXiv 2104.05124):

    m ← (1 − γ) m + γ g,    v ← (1 − σ) v + σ g²
    w ← −w    where w m / (√v + 1e-10) > τ                      biased
    w ← −w    where w m̂ / (√v̂ + 1e-10) > τ                      unbiased

    m̂ = m / (1 − (1 − γ)ᵗ),    v̂ = v / (1 − (1 − σ)ᵗ)

m and v start at 0. The released codes set a weight with w m = τ to +1; here it stays.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from onebit.errors import OnebitError


class Bop(Optimizer):
    """The binary optimiser.

    Args:
        parameters: of ±1 only.
        gamma: γ, the adaptivity: the share of the new gradient.
        threshold: τ.

    Raises:
        OnebitError: γ outside 0 to 1 or a negative τ; and ``step`` for a parameter with another value than ±1.

    Reference: arXiv 1906.02107; the defaults are those of its experiments on CIFAR-10.

    Example:
        >>> w = nn.Parameter(torch.tensor([1.0, 1.0, -1.0]))
        >>> optimizer = Bop([w], gamma=0.5, threshold=0.1)
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
        """What τ is compared with, of the shape of ``w``; takes its gradient in."""
        return self._average(w, "m", w.grad, group["gamma"])

    def _average(self, w: nn.Parameter, name: str, value: Tensor | None, share: float) -> Tensor:
        state = self.state[w]
        if name not in state:
            state[name] = torch.zeros_like(w)
        # a state that was loaded before the network moved to its device lies on the other one
        state[name] = state[name].to(w.device)
        return state[name].lerp_(value, share)


class SecondOrderBop(Bop):
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
        >>> optimizer = SecondOrderBop([w], gamma=0.5, threshold=0.9, sigma=0.5, unbiased=True)
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
