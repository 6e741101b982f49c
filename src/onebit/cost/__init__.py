"""The cost of training and of inference: operations by operand width, memory, energy."""

from onebit import _needs_torch  # noqa: F401  # its import is the check
from onebit.cost.count import count
from onebit.cost.ledger import LayerCost, Ledger
from onebit.cost.published import Published
from onebit.cost.rule import CostRule, Widths

__all__ = ["CostRule", "LayerCost", "Ledger", "Published", "Widths", "count"]
