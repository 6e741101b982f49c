"""What benchmarks/native_run.py counts, and what the page makes of it; the numbers of the page are made up."""

from pathlib import Path

import native_run
import training_report

from tests.benchmarks.pages import PROVENANCE, cells


def test_a_run_goes_on(tmp_path: Path) -> None:
    words = native_run.command(7, 7, 1, tmp_path)
    assert not any("--resume" in word for word in words)
    (tmp_path / "last.ckpt").touch()
    assert f"--resume={tmp_path / 'last.ckpt'}" in native_run.command(7, 7, 1, tmp_path)
    options = dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)
    assert options["trainer.backend"] == "native"
    assert options["data.validation"] == "5000"


def test_the_page() -> None:
    done = {
        "threads": 1,
        "steps": 7040,
        "commit": "abcdefghi",
        "test_top1": 0.625,
        "validation_top1": 0.5,
        "images_per_second": 100.0,
    }
    record = {
        "recipe": "name",
        "options": {"data.batch_size": 128},
        "epochs": 20,
        "seed": 0,
        "run": done,
        "alone": {"threads": 2, "steps": 100, "images_per_second": 1280.0},
        "energy_joule": {"training": 11.24, "training_full_precision": 502.4},
        "provenance": PROVENANCE,
    }
    page = training_report.run(record)
    assert cells(page, "top-1 of the test images, %") == ["62.5"]
    assert cells(page, "images/s alone, threads: 2") == ["1,280"]
    assert cells(page, "minutes at that speed") == ["12"]
    assert cells(page, "the same in 32 bits, J") == ["502"]
    assert "trained at commit abcdefg; " in page
