"""The precision range test on the digits."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from onebit.errors import OnebitError
from onebit.training import precision_range_test
from onebit.training.recipe import Recipe, parse_recipe

pytestmark = pytest.mark.usefixtures("one_thread")


def recipe(method: str | None, seed: int = 0, **init_args: Any) -> Recipe:
    values = {
        "model": {"name": "small", "options": {"width": 8, "full_precision": method != "CycleBNN"}},
        "method": method and {"class_path": f"onebit.methods.{method}", "init_args": init_args},
        "data": {"name": "digits", "batch_size": 32},
        "optimizer": {"lr": 1e-3},
        "trainer": {"max_steps": 1},
        "seed": seed,
    }
    return parse_recipe(values, "here")


@pytest.mark.learning
@pytest.mark.parametrize("method", ["CPT", "CycleBNN"])
def test_one_bit_gets_nowhere_on_the_digits_and_more_do(
    method: str, seed: int, record_property: Callable[[str, object], None]
) -> None:
    random = torch.get_rng_state()
    rungs = precision_range_test(recipe(method, seed), 1, 6, steps=60, threshold=0.15)
    record_property("gain of one bit", rungs[0].gain)
    record_property("bits", rungs[-1].bits)
    record_property("gain", rungs[-1].gain)
    assert rungs[0].gain <= 0.15 < rungs[-1].gain
    assert [rung.bits for rung in rungs] == list(range(1, rungs[-1].bits + 1))
    assert 2 <= rungs[-1].bits <= 4
    assert rungs[-1].accuracy == pytest.approx(rungs[-2].accuracy + rungs[-1].gain)
    assert torch.equal(torch.get_rng_state(), random)
    assert precision_range_test(recipe(method, seed), 1, 6, steps=60, threshold=0.15) == rungs


def test_the_bits_are_those_that_train(monkeypatch: pytest.MonkeyPatch) -> None:
    from onebit.methods import CPT

    seen: list[tuple[int, int]] = []
    own = CPT.set_bits
    monkeypatch.setattr(CPT, "set_bits", lambda self, b, g: (seen.append((b, g)), own(self, b, g)))
    precision_range_test(recipe("CPT", gradient_bits=[6, 8]), 3, 5, steps=2, window=1, threshold=1.0)
    assert seen[1::2] == [(3, 8), (3, 8), (4, 8), (4, 8), (5, 8), (5, 8)]  # after the schedule's, which come before


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (None, {}, "the recipe has no method"),
        ("FracTrain", {}, "FracTrain has no cycle of bits"),
        ("CPT", {"lowest": 5, "highest": 4}, "bits from 5 to 4"),
        ("CPT", {"steps": 3, "window": 4}, "a window of 4 in 3 steps"),
    ],
)
def test_what_cannot_be_tested_is_refused(method: str | None, options: dict, message: str) -> None:
    with pytest.raises(OnebitError, match=message):
        precision_range_test(recipe(method), **options)
