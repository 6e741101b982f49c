"""Runs whose binary convolutions are computed in integers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onebit import _engine
from onebit.errors import OnebitError
from onebit.training import fit, load_checkpoint
from onebit.training.interruption import Stopped
from tests.training.recipes import tiny
from tests.training.test_resume import assert_same, stop_at, trained

NATIVE = {"backend": "native", "max_steps": 240, "validate_every": 120}


@pytest.mark.slow
@pytest.mark.parametrize("method", [{}, None], ids=["CycleBNN", "plain"])
@pytest.mark.learning
def test_learns_the_digits(
    method: Any,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    result = fit(tiny(model={"options": {"width": 16}}, method=method, trainer=NATIVE, seed=seed), tmp_path / "run")
    record_property("top1", result["last_top1"])
    assert result["last_top1"] >= 0.88
    assert f"binary layers train natively ({_engine.training_isa('')}, 1 thread)" in capfd.readouterr().err
    net, info = load_checkpoint(result["checkpoint"])
    assert info["recipe"]["trainer"]["backend"] == "native"
    assert not any(getattr(module, "backend", None) for module in net.modules())


@pytest.mark.slow
def test_goes_on_from_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny(trainer={"backend": "native"})
    whole = trained(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(Stopped):
            fit(recipe, tmp_path / "cut", progress=False)
    assert_same(trained(recipe, tmp_path / "rest", tmp_path / "cut" / "last.ckpt"), whole)


def test_is_for_the_cpu() -> None:
    with pytest.raises(OnebitError, match="computes on the CPU, not on gpu"):
        tiny(trainer={"backend": "native", "accelerator": "gpu"})


def test_the_storage_reaches_the_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("onebit.training.run.use_native", lambda net, **options: seen.append(options))
    fit(tiny(trainer={"backend": "native", "storage": "float32", "max_steps": 1}), tmp_path, progress=False)
    assert seen == [{"storage": "float32"}]
    with pytest.raises(OnebitError, match=r"trainer\.storage must be .*not .?int8"):
        tiny(trainer={"storage": "int8"})
