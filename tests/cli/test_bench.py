"""onebit bench: what it prints, where its floors and its memory come from, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest

import onebit
from onebit import _engine, cli
from onebit.cli import bench
from onebit.runtime.model import Layer
from tests.cli.calls import call, fails
from tests.runtime.samples import classifier


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.obn"
    path.write_bytes(classifier().to_bytes())
    return path


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_WARM_UP_SECONDS", 0.0)
    monkeypatch.setattr(bench, "_SECONDS", 0.0)


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_engine, "rates", lambda isa: (1e9, 1e8, 1e9, 5e8))


@pytest.mark.usefixtures("brief")
def test_what_it_prints(model, capsys):
    result = call(capsys, "bench", model, "--threads", "2", "--batch", "3", "--isa", "reference")
    assert set(result) == {"median_ms", "p95_ms", "runs", "threads", "isa", "peak_bytes", "peak_rss_bytes"}
    assert 0 < result["median_ms"] <= result["p95_ms"]
    assert result["runs"] >= 20
    assert (result["threads"], result["isa"]) == (2, "reference")
    alone = call(capsys, "bench", model, "--threads", "2", "--isa", "reference")
    assert result["peak_bytes"] > alone["peak_bytes"] > 0, "three images take more than one"


@pytest.mark.usefixtures("brief", "rates")
def test_the_profile_names_every_layer(model, capsys):
    layers = call(capsys, "bench", model, "--profile")["layers"]
    loaded = onebit.load(model)
    assert [layer["name"] for layer in layers] == [layer.name for layer in loaded.layers]
    assert all(set(layer) == {"name", "kernel", "ms", "floor_ms", "distance"} for layer in layers)
    kernels = loaded.sessions.open(list(loaded.outputs), 1).kernels
    assert [layer["kernel"] for layer in layers] == [
        f"{kernel} {layer.kind}" for kernel, layer in zip(kernels, loaded.layers, strict=True)
    ]
    assert layers[2]["floor_ms"] == pytest.approx(1e3 * 22 * 22 * 32 * 32 / 1e9)  # bound by products
    assert layers[0]["floor_ms"] == pytest.approx(1e3 * 22 * 22 * 3 * 32 / 1e8)
    assert layers[1]["floor_ms"] == pytest.approx(1e3 * (8 * 8 * (32 * 4 + 4) + 32 * 2 * 4) / 1e9)  # bound by bytes
    for layer in layers:
        if layer["ms"] > 0:
            assert layer["distance"] == pytest.approx(layer["ms"] / layer["floor_ms"])
        else:
            assert layer["distance"] is None


def test_a_layer_inside_another_step_has_no_distance(capsys):
    rows = [
        bench._row(Layer(name, "binarize", (1, 1, 1), (1, 1, 1), 0, 0, 0, 8), ms, 0.5, "avx2")
        for name, ms in (("alone", 2.0), ("merged", 0.0))
    ]
    assert [row["distance"] for row in rows] == [4.0, None]
    result = {"median_ms": 3.0, "p95_ms": 3.0, "runs": 20, "threads": 1, "isa": "avx2", "peak_bytes": 1}
    bench.show({**result, "peak_rss_bytes": None, "layers": rows}, cli._Console())
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if "avx2 binarize" in line}
    assert "4.0" in lines["alone"]
    assert "66.7%" in lines["alone"]
    assert [word for word in lines["merged"].split() if word[0].isdigit()] == ["0.5000"]


@pytest.mark.parametrize(("bits", "ms"), [(1, 1.0), (8, 2.0), (32, 10.0)])
def test_the_floor_goes_by_the_width_of_the_weights(bits, ms):
    layer = Layer("conv", "conv", (64, 8, 8), (64, 8, 8), bits, 8, 1_000_000, 1_000)
    assert bench.floor_ms(layer, 1, 1, (1e9, 1e8, 1e9, 5e8)) == pytest.approx(ms)
    assert bench.floor_ms(layer, 3, 2, (1e9, 1e8, 1e9, 5e8)) == pytest.approx(1.5 * ms)


def test_memory_is_what_the_process_grew_by():
    memory = bench._Memory()
    if memory.grown() is None:
        pytest.skip("this system does not tell the peak of the resident memory")
    held = np.ones(64 << 20, np.uint8)
    grown = memory.grown()
    del held
    assert 60 << 20 < grown < 128 << 20
    assert memory.grown() >= grown - (1 << 20), "the peak stays"


@pytest.mark.usefixtures("brief", "rates")
def test_the_table(model, capsys):
    assert cli.main(["bench", str(model), "--profile"]) == 0
    out = capsys.readouterr().out
    for word in ("median", "in use by the engine", "conv_binary", "distance", "all layers"):
        assert word in out


def test_what_it_refuses(model, capsys):
    assert "--batch" in fails(capsys, "bench", model, "--batch", "0")
    assert "No such file" in fails(capsys, "bench", model.parent / "missing.obn")
