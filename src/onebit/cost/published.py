"""A paper's figures, beside those of the same settings here."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Published:
    """A published figure of a method's cost, for the settings that it was published for.

    Args:
        figure: as printed, with two decimals.
        what: the quantity, in the paper's words, with its unit.
        source: where it is printed.
        ours: the same quantity as counted here.
        explanation: if the two differ, where the printed figure comes from.

    Example:
        >>> Published(97.32, "operations saved, %", "its released code", ours=97.324).reproduced
        True
    """

    figure: float
    what: str
    source: str
    ours: float
    explanation: str = ""

    @property
    def reproduced(self) -> bool:
        """Ours rounds to the printed figure."""
        return abs(self.ours - self.figure) <= 0.005

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "reproduced": self.reproduced}
