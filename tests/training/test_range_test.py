"""The precision range test on the digits."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from onebit.errors import OnebitError
from onebit.training import precision_range_test, range_test
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


def test_it_stops_at_the_first_precision_that_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    hits = {1: 0.1, 2: 0.2, 3: 0.5, 4: 0.9}
    monkeypatch.setattr(range_test._Training, "step", lambda self, t, total, bits: hits[bits])
    tried = precision_range_test(recipe("CPT"), 1, 4, steps=5, window=2, threshold=0.15)
    assert [(step.bits, step.accuracy) for step in tried] == [(1, 0.1), (2, 0.2), (3, 0.5)]
    assert [step.gain for step in tried] == pytest.approx([0, 0.1, 0.3])


@pytest.mark.learning
@pytest.mark.parametrize("method", ["CPT", "CycleBNN"])
def test_some_precision_gains_on_the_digits(
    method: str, seed: int, record_property: Callable[[str, object], None]
) -> None:
    random = torch.get_rng_state()
    tried = precision_range_test(recipe(method, seed), 1, 6, steps=60, threshold=0.1)
    record_property("bits", tried[-1].bits)
    record_property("gain", tried[-1].gain)
    assert tried[-1].gain > 0.1
    assert all(step.gain <= 0.1 for step in tried[:-1])
    assert torch.equal(torch.get_rng_state(), random)
    assert precision_range_test(recipe(method, seed), 1, 6, steps=60, threshold=0.1) == tried


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
        ("PFQ", {}, "PFQ has no cycle of bits"),
        ("CPT", {"lowest": 5, "highest": 4}, "bits from 5 to 4"),
        ("CPT", {"steps": 3, "window": 4}, "a window of 4 in 3 steps"),
    ],
)
def test_what_cannot_be_tested_is_refused(method: str | None, options: dict, message: str) -> None:
    with pytest.raises(OnebitError, match=message):
        precision_range_test(recipe(method), **options)
