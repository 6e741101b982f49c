"""The forms of a cycle, and how long each width holds in them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebit.methods import CPT, CycleBNN
from onebit.methods.schedule import Schedule, cyclic_bits, time_at

SCHEDULES = st.sampled_from(["cosine", "linear", "triangular", "constant"])
HEIGHTS = {
    "cosine": lambda u: 0.5 * (1 - math.cos(math.pi * u)),
    "linear": lambda u: u,
    "triangular": lambda u: abs(2 * u - 1),
    "constant": lambda u: 1.0,
}


@given(
    schedule=SCHEDULES, t=st.integers(0, 399), cycles=st.integers(1, 8), low=st.integers(1, 6), rise=st.integers(0, 8)
)
def test_each_form_is_the_table_s(schedule: Schedule, t: int, cycles: int, low: int, rise: int) -> None:
    period = 400 // cycles
    height = HEIGHTS[schedule]((t % period) / period)
    if t < cycles * period and abs(rise * height % 1 - 0.5) > 1e-9:  # at a half the last bit of the cosine decides
        assert cyclic_bits(t, 400, (low, low + rise), cycles, schedule) == round(low + rise * height)


@given(schedule=SCHEDULES, total=st.integers(500, 900), cycles=st.integers(1, 5))
def test_every_form_ends_at_the_highest_width(schedule: Schedule, total: int, cycles: int) -> None:
    assert cyclic_bits(total - 1, total, (2, 6), cycles, schedule) == 6


def test_only_the_triangle_has_no_drop() -> None:
    steps = {
        schedule: min(np.diff([cyclic_bits(t, 400, (2, 6), 4, schedule) for t in range(400)])) for schedule in HEIGHTS
    }
    assert steps == {"cosine": -4, "linear": -4, "triangular": -1, "constant": 0}


@settings(deadline=None, max_examples=30)
@given(schedule=SCHEDULES, low=st.integers(1, 6), rise=st.integers(0, 6), g=st.integers(2, 6), g_rise=st.integers(0, 4))
def test_the_shares_are_those_of_a_long_run(schedule: Schedule, low: int, rise: int, g: int, g_rise: int) -> None:
    bits, gradient_bits, total = (low, low + rise), (g, g + g_rise), 4000
    times = time_at(schedule, bits, gradient_bits)
    assert sum(share for share, _ in times) == pytest.approx(1)
    counted: dict[tuple[int, int], int] = {}
    for t in range(total):
        pair = cyclic_bits(t, total, bits, 2, schedule), cyclic_bits(t, total, gradient_bits, 2, schedule)
        counted[pair] = counted.get(pair, 0) + 1
    for share, pair in times:
        assert counted.get(pair, 0) / total == pytest.approx(share, abs=3e-3)


@pytest.mark.parametrize("method", [CycleBNN, CPT])
@pytest.mark.parametrize("schedule", list(HEIGHTS))
def test_a_rule_costs_what_the_schedule_does(method: type, schedule: Schedule) -> None:
    bits, gradient_bits, total = (2, 6), (4, 8), 8000
    rule = method(bits=bits, gradient_bits=gradient_bits, cycles=2, schedule=schedule).cost_rule()
    b, g = (
        np.array([cyclic_bits(t, total, widths, 2, schedule) for t in range(total)]) for widths in (bits, gradient_bits)
    )
    assert rule.unweighted_saving() == pytest.approx(1 - np.mean(b * b + 2 * b * g) / 3 / 1024, abs=1e-4)
