"""CycleBNN's schedule over a run, and the cost rule that follows from it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from onebit.methods import CycleBNN
from onebit.methods.schedule import cyclic_bits
from onebit.nn import BinaryConv2d, BinaryLinear


def transcribed_bits(t: int, total: int, low: int, high: int, cycles: int) -> int:
    period = int(total / cycles)
    return int(np.rint(low + 0.5 * (high - low) * (1 + np.cos(np.pi * (t % period) / period + np.pi))))


@given(
    total=st.integers(1, 400),
    cycles=st.integers(1, 10),
    low=st.integers(1, 8),
    rise=st.integers(0, 8),
    share=st.floats(0, 1, exclude_max=True),
)
def test_schedule_is_that_of_the_sheet(total: int, cycles: int, low: int, rise: int, share: float) -> None:
    total += cycles  # the sheet divides by zero for less than an iteration a cycle
    t = int(share * cycles * (total // cycles))  # what remains after the last cycle is another test's
    assert cyclic_bits(t, total, (low, low + rise), cycles) == transcribed_bits(t, total, low, low + rise, cycles)


def test_schedule_rises_and_drops_at_once() -> None:
    bits = [cyclic_bits(t, 800, (2, 6), 8) for t in range(800)]
    assert bits[:100] == sorted(bits[:100])
    assert (bits[99], bits[100]) == (6, 2)
    assert bits == bits[:100] * 8


def test_what_remains_after_the_last_cycle_keeps_its_width() -> None:
    assert [cyclic_bits(t, 187_500, (2, 6), 8) for t in range(187_490, 187_500)] == [6] * 10


@pytest.mark.parametrize(("bits", "halfway"), [((2, 3), 2), ((3, 4), 4)])
def test_schedule_rounds_halves_to_even(bits: tuple[int, int], halfway: int) -> None:
    assert cyclic_bits(50, 100, bits, cycles=1) == halfway


def test_constant_precision_twin_never_changes() -> None:
    net = nn.Sequential(BinaryConv2d(2, 2, 3))
    method = CycleBNN(bits=(4, 4), gradient_bits=8)
    method.attach(net)
    for t in range(40):
        method.step(t, 40)
        assert (net[0].input_quantizer.bits, net[0].weight_quantizer.bits, net[0].output_transform[0].bits) == (4, 4, 8)


def test_gradient_bits_follow_the_same_cycle() -> None:
    net = nn.Sequential(BinaryLinear(3, 2))
    method = CycleBNN(bits=(2, 6), gradient_bits=(4, 8), cycles=2)
    method.attach(net)
    seen = []
    for t in range(20):
        method.step(t, 20)
        seen.append((net[0].input_quantizer.bits, net[0].output_transform[0].bits))
    assert seen == [(cyclic_bits(t, 20, (2, 6), 2), cyclic_bits(t, 20, (4, 8), 2)) for t in range(20)]


def test_recu_tau_rises_from_085_to_099() -> None:
    net = nn.Sequential(BinaryLinear(3, 2))
    method = CycleBNN(recu_clamp=True)
    method.attach(net)
    taus = []
    for t in range(1001):
        method.step(t, 1000)
        taus.append(float(net[0].weight_quantizer.tau))
    assert taus == sorted(taus)
    assert (taus[0], taus[-1]) == pytest.approx((0.85, 0.99))


def test_time_at_each_precision() -> None:
    """The sheet's figures: .230/.190/.161/.190/.230 at 2 to 6 bits, E[b] = 4.00, E[b²] = 18.22, and 97.32 % saved."""
    rule = CycleBNN(bits=(2, 6), gradient_bits=8, cycles=8).cost_rule()
    assert [w.activation for w in rule.charged] == [2, 3, 4, 5, 6]
    assert [round(w.share, 3) for w in rule.charged] == [0.230, 0.190, 0.161, 0.190, 0.230]
    assert rule.mean("activation") == pytest.approx(4.0)
    assert rule.mean("activation", power=2) == pytest.approx(18.22, abs=0.005)
    assert 100 * rule.unweighted_saving() == pytest.approx(97.32, abs=0.005)
    assert {(w.activation, w.weight, w.gradient) for w in rule.operands} == {(1, 1, 8)}


@settings(max_examples=10, deadline=None)
@given(low=st.integers(1, 6), rise=st.integers(0, 6), gradient_low=st.integers(2, 6), gradient_rise=st.integers(0, 4))
def test_cost_rule_is_the_mean_of_the_schedule(low: int, rise: int, gradient_low: int, gradient_rise: int) -> None:
    bits, gradient_bits, total = (low, low + rise), (gradient_low, gradient_low + gradient_rise), 4000
    rule = CycleBNN(bits, gradient_bits, cycles=2).cost_rule()
    b = [cyclic_bits(t, total, bits, 2) for t in range(total)]
    g = [cyclic_bits(t, total, gradient_bits, 2) for t in range(total)]
    expected = 1 - np.mean([(b * b + 2 * b * g) / 3 / 1024 for b, g in zip(b, g, strict=True)])
    assert rule.unweighted_saving() == pytest.approx(expected, abs=1e-4)
    assert rule.mean("gradient") == pytest.approx(np.mean(g), abs=2e-2)


def test_the_gradient_has_as_many_levels_as_its_bits_of_the_moment() -> None:
    """What leaves the gradient quantiser, and so enters both products, takes 2^g values at most."""
    torch.manual_seed(0)
    net = nn.Sequential(BinaryLinear(16, 64))
    method = CycleBNN(bits=(2, 6), gradient_bits=(1, 4), cycles=1)
    method.attach(net)
    seen: list[Tensor] = []
    net[0].output_transform[0].register_full_backward_hook(lambda module, g_in, g_out: seen.append(g_in[0]))
    levels = []
    for t in range(12):
        method.step(t, 12)
        (net(torch.randn(32, 16)) * torch.randn(32, 64)).sum().backward()
        levels.append(len(seen[-1].unique()))
    bits = [cyclic_bits(t, 12, (1, 4), 1) for t in range(12)]
    assert set(bits) == {1, 2, 3, 4}
    assert all(2 ** (g - 1) < n <= 2**g for g, n in zip(bits, levels, strict=True))
