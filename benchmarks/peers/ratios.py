"""What is made of the times of the rounds."""

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most.

    Example:
        >>> spread([3.0, 1.0, 2.0])
        {'median': 2.0, 'least': 1.0, 'most': 3.0}
    """
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def ratio(times: Sequence[float], others: Sequence[float]) -> dict[str, float]:
    """The :func:`spread` of the quotients round by round: what changes the whole machine's speed cancels.

    Example:
        >>> ratio([1.0, 2.0], [2.0, 4.0])
        {'median': 0.5, 'least': 0.5, 'most': 0.5}
    """
    return spread([ours / theirs for ours, theirs in zip(times, others, strict=True)])
