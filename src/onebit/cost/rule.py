"""The rule by which a method states its cost: operand widths over training."""

from collections.abc import Iterable
from dataclasses import dataclass

from onebit.cost.published import Published

FULL = 32
"""Bits of an operand in full precision."""


@dataclass(frozen=True)
class Widths:
    """Operand widths of a layer's three products, in bits, for a share of the iterations.

    The forward pass multiplies activations by weights, the error gradient is the incoming gradient by weights, the
    weight gradient is the incoming gradient by activations.

    Args:
        share: share of the iterations, from 0 to 1.
        activation: bits of the activations, 32 for full precision.
        weight: bits of the weights.
        gradient: bits of the incoming gradients.

    Example:
        >>> Widths(1.0, activation=1, weight=1, gradient=8).products()
        {'forward': (1, 1), 'error': (8, 1), 'weight': (8, 1)}
    """

    share: float = 1.0
    activation: int = FULL
    weight: int = FULL
    gradient: int = FULL

    def products(self) -> dict[str, tuple[int, int]]:
        """The two operands' widths, the wider first, of each of the three products."""
        pairs = {
            "forward": (self.activation, self.weight),
            "error": (self.gradient, self.weight),
            "weight": (self.gradient, self.activation),
        }
        return {name: (max(pair), min(pair)) for name, pair in pairs.items()}


@dataclass(frozen=True)
class CostRule:
    """The operand widths of the quantised layers over a whole training run.

    Args:
        operands: widths of the operands in the products, by share of the iterations.
        charged: the widths that the method's paper counts, if they differ.
        published: the paper's figures, if the settings are those of the paper.
        latent: training keeps a real-valued copy of the quantised weights.
        slots: tensors that the method's own optimiser keeps for each quantised weight, if it has one.

    Raises:
        ValueError: the shares do not add up to one.

    Example:
        >>> rule = CostRule((Widths(0.5, 2, 2, 8), Widths(0.5, 6, 6, 8)))
        >>> rule.mean("activation")
        4.0
        >>> round(rule.unweighted_saving(), 4)
        0.9727
    """

    operands: tuple[Widths, ...]
    charged: tuple[Widths, ...] = ()
    published: tuple[Published, ...] = ()
    latent: bool = True
    slots: int | None = None

    def __post_init__(self) -> None:
        for widths in filter(None, (self.operands, self.charged)):
            if abs(sum(w.share for w in widths) - 1) > 1e-9:
                raise ValueError("the shares of the iterations must add up to 1")

    def mean(self, operand: str, power: int = 1) -> float:
        """E[bᵖ] of one operand (``activation``, ``weight`` or ``gradient``) as the paper counts it."""
        return sum(w.share * getattr(w, operand) ** power for w in self.charged or self.operands)

    def unweighted_saving(self) -> float:
        """The share of operations saved by CycleBNN's formula: 1 − the mean of b₁b₂ / 32² over iterations and the three
        products.

        Layers are not weighted and full-precision layers are left out.
        """
        return 1 - sum(
            w.share * relative_cost(pair) / 3 for w in self.charged or self.operands for pair in w.products().values()
        )


def relative_cost(pair: tuple[int, int]) -> float:
    """Bit operations of one multiply-accumulate over those of a 32-bit one: b₁b₂ / 32².

    Example:
        >>> relative_cost((8, 4))
        0.03125
    """
    return pair[0] * pair[1] / FULL**2


def tally(widths: Iterable[Widths], product: str, macs: float) -> dict[tuple[int, int], float]:
    """Splits the multiply-accumulates of one product over the pairs of operand widths.

    Example:
        >>> tally([Widths(0.25, 1, 1, 8), Widths(0.75, 1, 1, 4)], "error", 100)
        {(8, 1): 25.0, (4, 1): 75.0}
    """
    by_width: dict[tuple[int, int], float] = {}
    for w in widths:
        pair = w.products()[product]
        by_width[pair] = by_width.get(pair, 0.0) + w.share * macs
    return by_width
