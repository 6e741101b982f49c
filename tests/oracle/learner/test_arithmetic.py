"""The numbers of the tail against their real-valued definitions."""

import math
from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.learner.arithmetic import (
    Gradient,
    Levels,
    add,
    fixed,
    normalise,
    round_shift,
    stepped,
    stochastic_8_bits,
)

INTEGERS = st.lists(st.integers(-(2**44), 2**44), min_size=1, max_size=40)
GRADIENTS = st.lists(st.integers(-32767, 32767), min_size=1, max_size=40)
UNITS = st.floats(1e-12, 1e6)


@given(st.integers(-(2**61), 2**61), st.integers(0, 40))
def test_shifts_round_to_nearest_even(v: int, shift: int) -> None:
    assert int(round_shift(torch.tensor(v), shift)) == round(Fraction(v, 2**shift))


@given(INTEGERS, UNITS)
def test_normalised_gradients_keep_15_bits(values: list[int], unit: float) -> None:
    total = torch.tensor(values)
    gradient = normalise(total, unit)
    if gradient is None:
        assert not any(values)
        return
    assert gradient.levels.abs().max() <= 32767
    factor = gradient.unit / unit
    assert factor == 2.0 ** round(math.log2(factor)) >= 1
    maximum = int(total.abs().max())
    # half a step; one step for what saturates: 32767.5 and more
    assert (gradient.levels.double() * factor - total.double()).abs().max() <= (0.5 if factor == 1 else 1) * factor
    assert factor == 1 or maximum / factor >= 2**14


@given(GRADIENTS, UNITS, st.data())
def test_sums_of_contributions(first: list[int], unit: float, data: st.DataObject) -> None:
    size = len(first)
    second = data.draw(st.lists(st.integers(-32767, 32767), min_size=size, max_size=size))
    other = data.draw(UNITS)
    result = add(Gradient(torch.tensor(first), unit), Gradient(torch.tensor(second), other))
    expected = torch.tensor(first).double() * unit + torch.tensor(second).double() * other
    large = max(unit, other)
    # the smaller unit is cut to 16 bits of the larger; then half a step of the result, which has 15 bits or more
    cut = 32767 * large / 65536
    if result is None:
        assert expected.abs().max() <= cut + 1e-9 * large
        return
    assert (result.levels.double() * result.unit - expected).abs().max() <= cut + result.unit * 1.000001


def test_one_contribution_stays_as_it_is() -> None:
    gradient = Gradient(torch.tensor([1, -2]), 0.5)
    assert add(None, gradient) is gradient
    assert add(gradient, None) is gradient
    assert add(None, None) is None


@given(INTEGERS, st.integers(0, 2**32 - 1))
def test_eight_bits_are_within_a_level(values: list[int], key: int) -> None:
    product = torch.tensor(values)
    if not any(values):
        return
    levels, scale = stochastic_8_bits(product, key)
    assert levels.min() >= -128
    assert levels.max() <= 127
    exact = product.double() / scale
    # a level; and what the 30 bits of h' cut off, 2^-29 of the largest at most
    assert (levels.double() - exact).abs().max() <= 1 + 127 * 2.0**-28
    assert 127 * (1 - 2.0**-16) <= exact.abs().max() <= 127 * (1 + 2.0**-28)  # the inverse has 17 bits


def test_eight_bits_are_unbiased() -> None:
    product = torch.full((1 << 16,), 12345)
    product[0] = 100_000
    levels, scale = stochastic_8_bits(product, key=7)
    exact = 12345 / scale
    deviation = math.sqrt((exact % 1) * (1 - exact % 1) / len(product))
    assert abs(float(levels[1:].double().mean()) - exact) < 4 * deviation


@given(st.floats(-100, 0, width=32), st.floats(0.0078125, 100, width=32), st.integers(-3000, 3000))
def test_levels_of_a_range(low: float, high: float, value: int) -> None:
    levels = Levels.of(low, high)
    assert 0 <= levels.zero <= 255
    assert math.isclose(levels.step, (high - low) / 255, rel_tol=1e-6)
    q = int(levels(torch.tensor(value)))
    assert -levels.zero <= q <= 255 - levels.zero
    if -levels.zero <= value <= 255 - levels.zero:
        assert q == value
    # half a step of the range's place
    assert abs(levels.step * -levels.zero - low) <= 0.5001 * levels.step


@given(GRADIENTS, st.floats(1e-9, 1e3), st.integers(0, 2**32 - 1))
def test_steps_are_within_one_and_leave_zero_sums(sums: list[int], rate: float, key: int) -> None:
    total = torch.tensor(sums)
    masters = torch.arange(len(sums)) * 1000
    stepped_masters = stepped(masters, total, rate, key, 0, 1 << 30)
    moved = (masters - stepped_masters).double()
    assert (moved - total.double() * rate).abs().max() <= 1 + 1e-4 + 2.0**-28 * 32767 * rate
    assert (moved[total == 0] == 0).all()
    assert (stepped(masters, total * 10**6, 1e3, key, 0, 100).abs() <= 100).logical_or(total == 0).all()


def test_steps_are_unbiased() -> None:
    masters, sums = torch.zeros(1 << 16, dtype=torch.int64), torch.full((1 << 16,), 3)
    assert abs(float(stepped(masters, sums, 0.1, 99, 0, 127).double().mean()) + 0.3) < 0.01


@given(st.floats(-1e30, 1e30))
def test_masters_saturate(value: float) -> None:
    assert int(fixed(value)) == round(min(max(value, -(2.0**30)), 2.0**30))
