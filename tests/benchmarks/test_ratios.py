"""The arithmetic of the comparison: rounds to times, shares and speed-ups."""

import doctest

import pytest
import tables
from engine_vs_peers import compared
from hypothesis import given
from hypothesis import strategies as st
from peers import ratios

TIMES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9)


@pytest.mark.parametrize("module", [ratios, tables])
def test_the_examples_are_true(module) -> None:
    done = doctest.testmod(module)
    assert done.attempted
    assert not done.failed


@given(TIMES, st.floats(0.1, 10), st.data())
def test_what_slows_the_whole_machine_down_cancels(times, quotient, data) -> None:
    slow = [data.draw(st.floats(1, 10)) for _ in times]
    ours = [quotient * time * by for time, by in zip(times, slow, strict=True)]
    theirs = [time * by for time, by in zip(times, slow, strict=True)]
    found = ratios.ratio(ours, theirs)
    assert found == pytest.approx({"median": quotient, "least": quotient, "most": quotient})


@given(TIMES)
def test_the_spread_holds_the_median(times) -> None:
    found = ratios.spread(times)
    assert min(times) == found["least"] <= found["median"] <= found["most"] == max(times)


def row(engine: str, threads: int, *times: float, isa: str = "") -> dict:
    name = {"engine": engine, "network": "net", "numbers": "float32", "isa": isa}
    return {**name, "threads": threads, "round_ms": list(times)}


def test_each_of_ours_is_compared_with_each_peer_at_the_same_threads() -> None:
    rows = compared(
        [row("onebit", 1, 1, 2, 3), row("onebit", 2, 0.5, 1, 1.5), row("a", 1, 4, 4, 4), row("a", 2, 2, 2, 4)]
    )
    one, two, peer, peer_two = rows
    key = {"engine": "a", "network": "net", "numbers": "float32", "isa": ""}
    assert one["share_of"] == [{**key, "median": 0.5, "least": 0.25, "most": 0.75}]
    assert two["share_of"] == [{**key, "median": 0.375, "least": 0.25, "most": 0.5}]
    assert two["speed_up"] == {"median": 2.0, "least": 2.0, "most": 2.0}
    assert peer_two["speed_up"] == {"median": 2.0, "least": 1.0, "most": 2.0}
    assert peer["ms"] == {"median": 4, "least": 4, "most": 4}
    assert "speed_up" not in one
    assert "share_of" not in peer


def test_a_speed_up_is_of_the_same_instruction_set() -> None:
    rows = compared(
        [row("onebit", 1, 4.0, isa="avx512"), row("onebit", 1, 9.0, isa="avx2"), row("onebit", 2, 2.0, isa="avx512")]
    )
    assert rows[2]["speed_up"]["median"] == 2.0
