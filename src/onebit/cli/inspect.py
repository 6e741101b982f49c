"""``onebit inspect``: what a packed model holds. numpy only."""

from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from onebit.runtime import Model, load
from onebit.tables import folding_table, layer_table

EXAMPLE = "onebit inspect digits.obn"
_ACTIVATION_BITS = {"conv_binary": 1, "conv_int8": 8}


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=str, help="an .obn file")


def run(args: Namespace) -> dict[str, Any]:
    model = load(args.model)
    return {
        "path": str(model.path),
        "bytes": model.path.stat().st_size,
        "input": list(model.input_shape),
        "outputs": {name: list(shape) for name, shape in model.outputs.items()},
        "classes": list(model.classes),
        "class_samples": model.class_samples,
        "features_range": model.features_range,
        "mean": list(model.mean),
        "std": list(model.std),
        "resize": model.resize,
        "sha256": model.sha256,
        "layers": _layers(model),
        "notes": _notes(model),
        "provenance": model.provenance,
    }


def show(result: dict[str, Any], console: Console) -> None:
    console.print(layer_table(f"{result['path']}: {result['bytes']:,} bytes", result["layers"]))
    facts = folding_table("", "", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    outputs = ", ".join(f"{name} {tuple(shape)}" for name, shape in result["outputs"].items())
    operations = sum(layer["operations"] for layer in result["layers"])
    packed = sum(layer["operations"] for layer in result["layers"] if layer["packed"])
    rows = {
        "input": f"{tuple(result['input'])}, (pixel / 255 - {_short(result['mean'])}) / {_short(result['std'])}",
        "images": f"shorter side resized to {result['resize']} pixels, centre cut" if result["resize"] else "stretched",
        "outputs": outputs,
        "classes": ", ".join(result["classes"]) or "none named",
        "features": f"{_short(result['features_range'])} over the calibration images"
        if result["features_range"]
        else "",
        "work": f"{operations:,} multiply-accumulates per sample, {packed / operations:.1%} at one bit"
        if operations
        else "",
        "weights": f"sha256 {result['sha256']}",
    }
    for name, text in rows.items():
        if text:
            facts.add_row(name, text)
    console.print(facts)
    for note in result["notes"]:
        console.print(note)


def _layers(model: Model) -> list[dict[str, Any]]:
    """The graph's layers, with the export's remarks on them where its report fits the graph."""
    told = model.report.get("layers") if isinstance(model.report, dict) else None
    report = told if isinstance(told, list) and len(told) == len(model.layers) else [None] * len(model.layers)
    rows = []
    for layer, row in zip(model.layers, report, strict=True):
        known = row if isinstance(row, dict) and row.get("name") == layer.name and row.get("kind") == layer.kind else {}
        rows.append(
            {
                "name": layer.name,
                "kind": layer.kind,
                "weight_bits": layer.weight_bits,
                "activation_bits": _ACTIVATION_BITS.get(layer.kind, 32),
                "bytes": layer.bytes,
                "packed": layer.weight_bits == 1,
                "why": str(known.get("why", "")),
                "input": list(layer.input_shape),
                "output": list(layer.output_shape),
                "operations": layer.operations,
            }
        )
    return rows


def _notes(model: Model) -> list[str]:
    notes = model.report.get("notes") if isinstance(model.report, dict) else None
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _short(numbers: list[float]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)
