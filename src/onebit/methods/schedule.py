"""Bit widths that cycle over training.

In iteration t of N, with n cycles of T = max(1, ⌊N / n⌋) iterations and u = (t mod T) / T:

    b_t = rint(b_min + (b_max − b_min) s(u))        rint rounds halves to even

| schedule | s(u) | |
|---|---|---|
| `cosine` | ½ (1 + cos(π u + π)) | rises from b_min to b_max, drops at once |
| `linear` | u | the same, evenly |
| `triangular` | abs(2 u − 1) | falls to b_min and rises back, without a drop |
| `constant` | 1 | b_max |

`cosine` is that of CPT (Fu et al., ICLR 2021, arXiv 2101.09868, equation 1) and of CycleBNN, as their released codes
compute it. All end at b_max, at which the network will answer: the N − nT iterations that remain after the last cycle
keep its last width, where those codes begin another cycle.
"""

import math
from itertools import pairwise
from typing import Literal, get_args

from onebit.errors import OnebitError

Bits = tuple[int, int]
Schedule = Literal["cosine", "linear", "triangular", "constant"]


def cyclic_bits(t: int, total: int, bits: Bits, cycles: int, schedule: Schedule = "cosine") -> int:
    """b_t of a schedule.

    Args:
        t: iteration, from 0.
        total: N.
        bits: b_min and b_max.
        cycles: n.
        schedule: the form of a cycle.

    Example:
        >>> [cyclic_bits(t, 21, (2, 6), cycles=2) for t in range(21)]
        [2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6]
        >>> [cyclic_bits(t, 10, (2, 6), cycles=1, schedule="triangular") for t in range(10)]
        [6, 5, 4, 4, 3, 2, 3, 4, 4, 5]
    """
    period = max(1, total // cycles)
    t = min(t, cycles * period - 1)
    return _bits_at(t % period, period, bits, schedule)


def time_at(schedule: Schedule, *ranges: Bits) -> list[tuple[float, tuple[int, ...]]]:
    """Fraction of a cycle spent at each combination of bit widths, for several widths with one schedule.

    Args:
        schedule: the form of a cycle.
        ranges: b_min and b_max of each width.

    Returns:
        the fraction and the widths of each combination, in the order of first occurrence.

    Example:
        >>> time_at("linear", (2, 4), (8, 8))
        [(0.25, (2, 8)), (0.5, (3, 8)), (0.25, (4, 8))]
    """
    corners = {0.0, 1.0, *(place for bits in ranges for place in _changes(bits, schedule))}
    shares: dict[tuple[int, ...], float] = {}
    for start, end in pairwise(sorted(corners)):
        widths = tuple(_bits_at((start + end) / 2, 1, bits, schedule) for bits in ranges)
        shares[widths] = shares.get(widths, 0.0) + end - start
    return [(share, widths) for widths, share in shares.items()]


def check_bits_range(owner: str, bits: int | Bits) -> Bits:
    """b_min and b_max, from one number or two; raises OnebitError outside 1 to 24 or if they fall."""
    low, high = (bits, bits) if isinstance(bits, int) else bits
    if not 1 <= low <= high <= 24:
        raise OnebitError(f"{owner}: bits from {low} to {high}", hint="1 to 24, the lower first")
    return low, high


def check_cycles(owner: str, cycles: int, schedule: str) -> None:
    """Raises OnebitError for no cycle or a schedule that is not known."""
    if cycles < 1:
        raise OnebitError(f"{owner}: {cycles} cycles asked for", hint="give one or more")
    if schedule not in get_args(Schedule):
        raise OnebitError(f"{owner}: no schedule '{schedule}'", hint=f"choose from {', '.join(get_args(Schedule))}")


def _bits_at(place: float, period: int, bits: Bits, schedule: Schedule) -> int:
    """b at u = place / period."""
    low, high = bits
    if schedule == "cosine":
        height = 0.5 * (1 + math.cos(math.pi * place / period + math.pi))
    elif schedule == "constant":
        height = 1.0
    else:
        height = place / period if schedule == "linear" else abs(2 * place / period - 1)
    return round(low + (high - low) * height)


def _changes(bits: Bits, schedule: Schedule) -> list[float]:
    """Every u at which b_t changes: where its formula gives a half."""
    rise = bits[1] - bits[0]
    heights = [(step + 0.5) / rise for step in range(rise)]
    if schedule == "cosine":
        return [math.acos(1 - 2 * height) / math.pi for height in heights]
    if schedule == "triangular":
        return [0.5 + side * height / 2 for height in heights for side in (-1, 1)]
    return heights if schedule == "linear" else []
