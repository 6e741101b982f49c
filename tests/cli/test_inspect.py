import json
import subprocess
import sys
from pathlib import Path

import pytest

import onebit
from onebit import cli


def test_it_lists_the_layers(digits_model: Path, capsys) -> None:
    assert cli.main(["inspect", str(digits_model)]) == 0
    out = capsys.readouterr().out
    assert "blocks.0.conv" in out
    assert "first layer: real-valued input" in " ".join(out.split())
    assert "at one bit" in out


def test_json(digits_model: Path, capsys) -> None:
    assert cli.main(["inspect", str(digits_model), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    model = onebit.load(digits_model)
    assert result["bytes"] == digits_model.stat().st_size
    assert result["classes"] == list(model.classes)
    assert result["class_samples"] == list(model.class_samples)
    assert result["outputs"] == {"logits": [6, 1, 1], "features": list(model.outputs["features"])}
    assert [layer["name"] for layer in result["layers"]] == [layer.name for layer in model.layers]
    told = [(row["activation_bits"], row["packed"], row["why"]) for row in model.report["layers"]]
    assert [(row["activation_bits"], row["packed"], row["why"]) for row in result["layers"]] == told
    assert 0 < sum(layer["bytes"] for layer in result["layers"]) < result["bytes"]


@pytest.mark.parametrize("report", ["null", '"x"', "[1]", '{"layers": 3, "notes": 4}', '{"layers": [{"name": []}]}'])
def test_a_strange_report_does_no_harm(report: str, tmp_path: Path, capsys) -> None:
    import numpy as np

    from onebit.format.graph import Graph, Pointwise, Value
    from onebit.format.writer import write

    x, y = Value(1, 1, 3), Value(1, 1, 3)
    graph = Graph(x, [Pointwise("[bold]p", [x], y)], {"y": y})
    write(
        tmp_path / "m.obn",
        graph,
        {"report": report, "input.mean": np.zeros(3, np.float32), "input.std": np.ones(3, np.float32)},
    )
    assert cli.main(["inspect", str(tmp_path / "m.obn")]) == 0
    assert "[bold]p" in capsys.readouterr().out


def test_it_needs_no_torch(digits_model: Path) -> None:
    code = (
        "import sys; from onebit import cli; "
        f"assert cli.main(['inspect', {str(digits_model)!r}]) == 0; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("content", [b"", b"\x89OBN\r\n\x1a\n", b"x" * 5000])
def test_bad_files_are_one_line(content: bytes, tmp_path: Path, capsys) -> None:
    path = tmp_path / "m.obn"
    path.write_bytes(content)
    assert cli.main(["inspect", str(path)]) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert len(error.strip().splitlines()) == 1
