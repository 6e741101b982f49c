"""Runs of the k-bit methods: they resume to the same bits, and their checkpoints answer the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from onebit import cost, models
from onebit.cost import CostRule, Widths
from onebit.methods import PFQ
from onebit.nn import quantized_layers
from onebit.training import fit, load_checkpoint
from onebit.training.interruption import Stopped
from onebit.training.recipe import Recipe, parse_recipe
from tests.training.recipes import VALUES
from tests.training.test_resume import assert_same, stop_at, trained

METHODS: dict[str, dict[str, Any]] = {
    "CPT": {"bits": [3, 8], "cycles": 2},
    "PFQ": {"bits": [3, 4, 8], "gradient_bits": [6, 6, 8], "interval": 2, "threshold": 0.5},
}


def recipe(name: str, seed: int) -> Recipe:
    model = {"name": "small", "options": {"width": 8, "full_precision": True}}
    method = {"class_path": f"onebit.methods.{name}", "init_args": METHODS[name]}
    return parse_recipe({**VALUES, "model": model, "method": method, "seed": seed}, "tiny")


@pytest.mark.slow
@pytest.mark.learning
@pytest.mark.parametrize("name", METHODS)
def test_same_bits_as_an_unbroken_run(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    whole = trained(recipe(name, seed), tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 13)
        with pytest.raises(Stopped, match="stopped at step 13 of 30"):
            fit(recipe(name, seed), tmp_path / "broken", progress=False)
    resumed = trained(recipe(name, seed), tmp_path / "broken", resume=tmp_path / "broken" / "last.ckpt")
    for part in ("state_dict", "optimizer_states", "random_streams", "callbacks", "onebit"):
        assert_same(whole[part], resumed[part], part)
    if name == "PFQ":
        record_property("stage", whole["callbacks"]["onebit.methods.PFQ"]["stage"])
        assert whole["callbacks"]["onebit.methods.PFQ"]["stage"] == 2  # else nothing above was put to the test


@pytest.mark.parametrize("name", METHODS)
def test_a_checkpoint_holds_the_width_and_answers_at_it(name: str, tmp_path: Path, seed: int) -> None:
    trained(recipe(name, seed), tmp_path / "run")
    net, info = load_checkpoint(tmp_path / "run" / "last.ckpt")
    assert info["method"]["class_path"] == f"onebit.methods.{name}"
    assert {layer.input_quantizer.bits for _, layer in quantized_layers(net)} == {8}
    x = torch.randn(4, 1, 8, 8)
    y = net(x)
    for _, layer in quantized_layers(net):
        layer.input_quantizer.bits = layer.weight_quantizer.bits = 3
    assert not torch.equal(net(x), y)


def test_a_run_reports_the_widths_that_it_had(tmp_path: Path, seed: int) -> None:
    """PFQ's stages are known afterwards only: before, the ledger has the last one all the time."""
    run = recipe("PFQ", seed)
    net = models.create("small", width=8, full_precision=True)
    method = PFQ(**METHODS["PFQ"])
    method.attach(net)
    bound = cost.count(net, torch.zeros(1, 1, 8, 8), method)
    saved = fit(run, tmp_path / "run", progress=False)["operations_saved_percent"]
    assert saved > bound.saved_percent
    point = json.loads((tmp_path / "run" / "record.json").read_text())["curve"][0]
    assert point["cost"] == pytest.approx((3 * 3 + 2 * 3 * 6) / 3 / 1024)
    shares = (Widths(1 / 3, 3, 3, 6), Widths(1 / 3, 4, 4, 6), Widths(1 / 3, 8, 8, 8))
    assert bound.under(CostRule(shares)).saved_percent > bound.saved_percent
