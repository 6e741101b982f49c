"""The demo, once, as the README runs it: every promise that its table makes."""

import json

import pytest

from onebit import cli

KEYS = [
    "float_top1",
    "binary_top1",
    "packed_top1",
    "packed_equals_torch",
    "model_bytes",
    "float_bytes",
    "median_ms",
    "operations_saved_percent",
    "learned_classes",
    "old_top1",
    "new_top1",
    "naive_old_top1",
    "survived_power_cut",
    "seconds",
]


@pytest.mark.slow
def test_the_demo_keeps_its_promises(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == KEYS
    assert result["binary_top1"] >= 0.97
    assert result["packed_top1"] == result["binary_top1"]
    assert result["packed_equals_torch"]
    assert result["model_bytes"] < result["float_bytes"] / 8
    assert result["learned_classes"] == ["6", "7", "8", "9"]
    assert min(result["old_top1"], result["new_top1"]) >= 0.8
    assert result["naive_old_top1"] < result["old_top1"]
    assert result["survived_power_cut"]


def test_a_kept_folder_is_never_overwritten(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--keep", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
