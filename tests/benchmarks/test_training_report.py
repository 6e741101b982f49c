"""The tables of training; the numbers here are made up."""

from pathlib import Path

import pytest
import training_report
from cifar10_comparison import RECIPES
from PIL import Image

from tests.benchmarks.pages import PROVENANCE, cells


def comparison_record() -> dict:
    summary = {
        method: {
            "last_top1": {"mean": 0.2 + 0.1 * number, "deviation": 0.01 * (number + 1)},
            "operations_saved_percent": 97.5 if number else 0.0,
        }
        for number, method in enumerate(RECIPES)
    }
    return {"steps": 2400, "seeds": [0, 1], "summary": summary, "provenance": PROVENANCE}


@pytest.mark.slow
def test_the_comparison(tmp_path: Path) -> None:
    record = comparison_record()
    page = training_report.comparison(record)
    assert cells(page, "full precision") == ["20.0 ± 1.0", "0.00", "40.55"]
    assert cells(page, "ReCU") == ["40.0 ± 3.0", "97.50", "1.07"]  # 40.11e6 products of bits / 64, and the rest
    assert "2,400 steps of 64 images (3.1 epochs)" in page
    training_report.draw_comparison(record, tmp_path / "comparison.png")
    with Image.open(tmp_path / "comparison.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50, "something is drawn"


def test_packed_methods() -> None:
    answers = {"same_top1": 999, "within_tolerance": 990}
    row = {"method": "a", "packed_layers": 18, "bytes": 63016, "torch_top1": 0.5, "packed_top1": 0.501}
    row |= {"packed_against_torch": answers, "torch_without_onednn_against_torch": {**answers, "same_top1": 998}}
    page = training_report.packed_methods({"seed": 0, "images": 1000, "methods": [row], "provenance": PROVENANCE})
    assert cells(page, "a") == ["18", "63,016", "50.0", "50.1", "999", "990", "998", "990"]


@pytest.mark.slow
def test_published_figures_stand_beside_the_runs_of_their_recipes() -> None:
    run = {"result": {"last_top1": 0.5, "epochs": 6.0}, "provenance": PROVENANCE}
    comparison = comparison_record()
    page = training_report.published(training_report.measured({"recu_cifar10_resnet18_short": run}, comparison))
    source = "ReCU's repository, CIFAR-10, ResNet-18 (1/1), without fine-tuning"
    assert cells(page, "`recu_cifar10_resnet18`") == [
        "92.8",
        source,
        "50.0",
        "1.0 %",
        "A CPU, commit 0123456, 2026-01-02.",
    ]
    assert cells(page, "`recu_cifar10_resnet20`")[2:4] == ["40.0 ± 3.0", "0.5 %"]
    assert cells(page, "`cyclebnn_imagenet_resnet18`")[2] == "not run"
    assert "digits_" not in page, "no figure is published for it"


@pytest.mark.slow
def test_a_length_in_steps_is_counted_in_epochs() -> None:
    run = training_report.Measured("90.0", 60.0, "")
    page = training_report.published({"cyclebnn_cifar10_resnet18": run})
    assert cells(page, "`cyclebnn_cifar10_resnet18`")[3] == "100.0 %"


def test_a_step_beside_its_floor() -> None:
    times = {"least": 60.0, "lower_quartile": 61.0, "median": 62.0, "upper_quartile": 63.0}
    passes = {"convolve": 0.5, "normalize": 0.25, "backward": 1.0}
    layer = {"side": 32, "in_channels": 16, "out_channels": 32, "stride": 2, "outer": False, "count": 3}
    layer |= {"floor_ms": {"bfloat16": passes}, "ms": {"bfloat16": {key: 2 * ms for key, ms in passes.items()}}}
    ratios = {"a / b": {"least": 0.2, "lower_quartile": 0.25, "median": 0.3, "upper_quartile": 0.35}}
    result = {"batch": 128, "steps_ms": {"a": times}, "memory_bytes": {"a": 12e6}, "ratios": ratios, "layers": [layer]}
    result |= {"refusals": {"b": "it fuses nothing"}, "floor_shares": {"bfloat16": 0.45}}
    rates = {"binary": 1e12, "levels": 3.8e11, "bytes": 5e10, "memory_bytes": 2e10}
    record = {"threads": 2, "rounds": 10, "isa": "avx512", "GOMP_SPINCOUNT": "1000", "baseline_commit": "abcdefghi"}
    page = training_report.step({**record, "rates": rates, "models": {"net": result}, "provenance": PROVENANCE})
    assert cells(page, "a") == ["60", "61", "62", "63", "12"]
    assert cells(page, "b")[-1] == "it fuses nothing"
    assert cells(page, "a / b") == ["0.30 (0.25 to 0.35)"]
    assert cells(page, "32×32×16, 32, stride 2") == ["inner", "3", "1.00 (0.50)", "0.50 (0.25)", "2.00 (1.00)"]
    assert "45 % of the fastest step" in page
    assert "the baseline is commit abcdefg" in page
