"""The pages and the plot that are made from a record of the engines; the numbers here are made up."""

from pathlib import Path

import engine_report
import pytest
from engine_vs_peers import compared
from PIL import Image

from tests.benchmarks.pages import PROVENANCE, cells

TIMES = {  # engine, network, numbers, instruction set: by threads, by rounds
    ("onebit", "Bi-Real-Net-18", "1 bit, float32", "avx512"): ([6.0, 6.0, 6.0], [3.0, 3.0, 3.0]),
    ("onebit", "Bi-Real-Net-18", "1 bit, int8", "avx512"): ([2.0, 3.0, 4.0], [1.0, 2.0, 2.0]),
    ("onebit", "Bi-Real-Net-18", "1 bit, int8", "avx2"): ([8.0, 8.0, 8.0], [4.0, 4.0, 4.0]),
    ("onebit", "Bi-Real-Net-18", "1 bit, int8", "portable"): ([80.0, 80.0, 80.0], [40.0, 40.0, 40.0]),
    ("OpenVINO", "ResNet-18", "int8", ""): ([8.0, 8.0, 8.0], [5.0, 5.0, 5.0]),
    ("OpenVINO", "ResNet-18", "int8", "avx2"): ([16.0, 16.0, 16.0], [10.0, 10.0, 10.0]),
}


@pytest.fixture
def record():
    told = {"how": "a way", "file_bytes": 2_000_000, "difference": 0.01, "same_top1": 13}
    rows = [
        {**dict(zip(engine_report.KEYS, name, strict=True)), **told, "threads": threads, "round_ms": list(times)}
        for threads in (1, 2)
        for name, by_threads in TIMES.items()
        for times in [by_threads[threads - 1]]
    ]
    about = {"rounds": 3, "images": 13, "cpu_features": ["avx2"], "versions": {"openvino": "1.0"}}
    return {**about, "rows": compared(rows), "provenance": PROVENANCE}


def test_the_summary_compares_with_ours_at_its_best(record) -> None:
    page = engine_report.summary(record)
    assert cells(page, "OpenVINO", "", "ResNet-18", "int8") == [
        "8.00",
        "5.00",
        "0.38 (0.25 to 0.50)",
        "0.40 (0.20 to 0.40)",
    ]
    assert cells(page, "onebit", "avx512", "Bi-Real-Net-18", "1 bit, int8")[:2] == ["3.00", "2.00"]
    assert "| onebit | avx2 |" in page
    assert "portable" not in page
    assert "onebit on avx512 (Bi-Real-Net-18, 1 bit, int8)" in page
    assert page.endswith("A CPU, commit 0123456, 2026-01-02.")


def test_the_page_has_every_row_and_every_share(record) -> None:
    page = engine_report.peers(record)
    assert all(f"| {' | '.join(name[i] for i in (0, 3, 1, 2))} |" in page for name in TIMES)
    row = cells(page, "onebit", "portable", "Bi-Real-Net-18", "1 bit, int8")
    assert row[:3] == ["80.00 (80.00 to 80.00)", "40.00 (40.00 to 40.00)", "2.00 (2.00 to 2.00)"]
    assert row[3:] == ["2.00", "13 of 13, 0.01", "a way"]
    one, two = page.split("as a share of theirs:")[1:]
    assert "1.00 (1.00 to 1.00)" in cells(one, "OpenVINO", "", "ResNet-18", "int8")  # avx2 against it
    assert "0.40 (0.40 to 0.40)" in cells(two, "OpenVINO", "avx2", "ResNet-18", "int8")


def test_one_thread_is_enough(record) -> None:
    record["rows"] = [row for row in record["rows"] if row["threads"] == 1]
    assert "2 threads" not in engine_report.summary(record) + engine_report.peers(record)


def test_growth(tmp_path: Path) -> None:
    rows = [
        {"sweep": sweep, "x": x, "operations": 10**9 * x, "ms": {"median": 2.0 * x, "least": 1.9 * x, "most": 2.1 * x}}
        for sweep in engine_report.SWEEPS
        for x in (1, 2, 4)
    ]
    record = {"rows": rows, "rounds": 3, "isa": "avx2", "provenance": PROVENANCE}
    page = engine_report.growth(record)
    assert "| 4 | 4.000 | 8.000 (7.600 to 8.400) | 500 |" in page
    engine_report.draw_growth(record, tmp_path / "growth.png")
    with Image.open(tmp_path / "growth.png") as image:
        assert image.width > 1000
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50, "something is drawn"
