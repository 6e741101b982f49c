"""Bop in a run: only flips touch the binary weights, and a resumed run flips the same."""

from pathlib import Path

import pytest
import torch

from onebit.training import fit, load_checkpoint
from onebit.training.interruption import Stopped
from onebit.training.loop import Loop
from tests.training.recipes import tiny

RECIPE = tiny(
    method={"class_path": "onebit.methods.Bop", "init_args": {"gamma": [0.1, 0.001], "threshold": 1e-5}},
    optimizer={"name": "adamw", "weight_decay": 0.1},
)


@pytest.mark.slow
def test_weights_stay_bits_and_a_resumed_run_flips_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(RECIPE, tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_agree", lambda self, interruption: (self.step == 13, False, False))
        with pytest.raises(Stopped):
            fit(RECIPE, tmp_path / "broken", progress=False)
    fit(RECIPE, tmp_path / "broken", resume=tmp_path / "broken" / "last.ckpt", progress=False)
    whole, broken = (load_checkpoint(tmp_path / name / "last.ckpt")[0].state_dict() for name in ("whole", "broken"))
    assert all(torch.equal(value, broken[key]) for key, value in whole.items())
    assert whole["blocks.0.conv.weight"].unique().tolist() == [-1.0, 1.0]
