"""benchmarks/packed_methods.py on a small run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from packed_methods import measure

from onebit.training import fit
from tests.training.recipes import tiny


@pytest.mark.slow
@pytest.mark.learning
def test_a_network_is_packed_and_answers_the_same(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    fit(tiny(seed=seed), tmp_path, progress=False)
    row = measure(tmp_path / "last.ckpt", images=300)
    assert (row["step"], row["packed_layers"], row["images"]) == (30, 3, 300)
    kinds = ("packed_against_torch", "torch_without_onednn_against_torch")
    for answers in kinds:
        record_property(f"{answers}: same_top1", row[answers]["same_top1"])
        record_property(f"{answers}: within_tolerance", row[answers]["within_tolerance"])
    for answers in kinds:
        assert row[answers]["same_top1"] >= 298
        assert row[answers]["within_tolerance"] >= 290


@pytest.mark.slow
def test_the_twin_is_real_valued_throughout(tmp_path: Path) -> None:
    fit(tiny(method=None, model={"options": {"width": 8, "full_precision": True}}), tmp_path, progress=False)
    row = measure(tmp_path / "last.ckpt", images=360)
    assert row["packed_layers"] == 0
    assert row["packed_against_torch"]["same_top1"] == row["packed_against_torch"]["within_tolerance"] == 360
