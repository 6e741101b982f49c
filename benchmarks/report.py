"""Writes docs/results.md, the tables in docs/learner.md and docs/embedded.md, that of the engines in the README, that
of the tests in CONTRIBUTING.md and the plots, from the records in results/.

python benchmarks/report.py
"""

from pathlib import Path
from typing import Any

import engine_report
import learner_report
import streams_report
import training_report
from tables import ROOT, accuracy, between, markdown, read, source, wrapped

DEMO = {
    "float_top1": "ten digits: real-valued twin",
    "binary_top1": "ten digits: binary network in PyTorch",
    "packed_top1": "ten digits: packed network in the engine",
    "old_top1": "taught on the device: the six old digits",
    "new_top1": "the four new digits",
    "naive_old_top1": "the six old digits after naive fine-tuning",
}
HEADS = {
    "cwr_star_integers": "CWR*, integers (q_f 8, q_b 16), on the device",
    "cwr_star_float": "CWR*, float",
    "naive_float": "naive fine-tuning, float",
}

LEARNING = ROOT / "results" / "fused_learning.json"
METHODS = ROOT / "results" / "cifar10_methods.json"
TARGETS = ROOT / "results" / "make_targets.json"
RUNS = {
    "demo": "the demo",
    "test": "ruff, the quick native tests with an eighth of their random cases, the quick Python tests",
    "check": "types, contracts, pages, all native tests with all random cases, the slow Python tests",
    "check-sanitized": "the native tests under the address and undefined-behaviour sanitizers, an eighth of the cases",
    "check-threads": "the native tests with threads under the thread sanitizer",
    "check-fuzz": "libFuzzer on the readers, the plan and the learner",
    "check-embedded": "the run path on emulated Cortex-M boards",
    "check-windows": "the native tests, cross-built, under Wine",
    "check-cross": "the native tests on emulated aarch64, armv7 and riscv64, and their machine code",
    "check-wheel": "the source distribution, the wheel built from it, and the base install",
}

SELECTION = (
    "The learner's defaults (250 steps, a bias column of 1) and the 15 epochs of the backbone were chosen with the "
    "accuracy on these held-out images in view, so the figures of the learner are optimistic."
)


def main() -> None:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
    images = ROOT / "docs" / "images"
    engine_report.draw_growth(read("engine_growth"), images / "engine_growth.png")
    training_report.draw_comparison(read("cifar10_comparison"), images / "cifar10_comparison.png")
    if LEARNING.exists():
        training_report.draw_learning(read("fused_learning"), images / "fused_learning.png")
    if METHODS.exists():
        training_report.draw_methods(read("cifar10_methods"), images / "cifar10_methods.png")
    streams_report.draw(read_streams(), images)


def read_streams() -> list[dict[str, Any]]:
    return [read(name) for name in ("split_cifar10", "split_cifar100")]


def pages() -> dict[Path, str]:
    """The pages as they should be."""
    shortened = {name: read(name) for name in training_report.SHORTENED}
    comparison = read("cifar10_comparison")
    parts = [
        "# Results",
        "Written by `benchmarks/report.py` from the records in `results/`: commit, machine, seed and date are there.",
        "## Digits (8×8): the whole way",
        _demo(read("digits_demo")),
        "## Digits: what the learner keeps",
        learner_table(),
        "## Streams of CIFAR: what learners keep",
        streams_report.streams(read_streams()),
        "## An update on the device",
        learner_report.lessons(read("learner")),
        learner_report.soak(read("learner_soak")),
        "## CIFAR-10: a shortened run",
        training_report.shortened(shortened),
        "## CIFAR-10: methods at an equal budget",
        training_report.comparison(comparison),
        *_methods(),
        "## CIFAR-10: packed against PyTorch",
        training_report.packed(read("packed_vs_torch")),
        training_report.packed_methods(read("packed_methods")),
        "## CycleBNN's scaling of the activations",
        training_report.scaling(read("activation_scaling")),
        "## Published against measured",
        training_report.published(training_report.measured(shortened, comparison)),
        "## A training step in integers",
        training_report.step(read("training_step")),
        training_report.run(read("native_run")),
        *_learning(),
        "## Binary convolutions",
        _kernels(read("kernels_binary_conv")),
        _torch(read("kernels_vs_torch")),
        "## The engine beside its peers",
        engine_report.peers(read("engine_vs_peers")),
        "## How the engine's cost grows",
        engine_report.growth(read("engine_growth")),
        "## Memory over many models",
        _soak(read("soak")),
    ]
    learner, readme = ROOT / "docs" / "learner.md", ROOT / "README.md"
    embedded, contributing = ROOT / "docs" / "embedded.md", ROOT / "CONTRIBUTING.md"
    return {
        ROOT / "docs" / "results.md": wrapped("\n\n".join(parts)) + "\n",
        learner: between(learner.read_text("utf-8"), wrapped(learner_table())),
        embedded: between(embedded.read_text("utf-8"), wrapped(embedded_table())),
        readme: between(readme.read_text("utf-8"), wrapped(engine_report.summary(read("engine_vs_peers")))),
        contributing: between(contributing.read_text("utf-8"), wrapped(targets_table())),
    }


def _learning() -> list[str]:
    """Nothing until it was measured."""
    return (
        ["## What fused training learns", training_report.learning(read("fused_learning"))] if LEARNING.exists() else []
    )


def _methods() -> list[str]:
    """The protocol, and the table when something was measured."""
    table = [training_report.methods(read("cifar10_methods"))] if METHODS.exists() else ["No run is finished yet."]
    return ["## CIFAR-10: methods at length", training_report.protocol(), *table]


def targets_table() -> str:
    """What each target of the Makefile runs, and how long it took when that was measured."""
    record = read("make_targets") if TARGETS.exists() else None
    rows = []
    for target, what in RUNS.items():
        took = record["targets"].get(target) if record else None
        times = [f"{took[key]:.0f}" for key in ("wall_seconds", "cpu_seconds")] if took else ["", ""]
        part = " (a part of it: a tool was missing)" if took and not took["whole"] else ""
        rows.append([f"`make {target}`", what + part, *times])
    table = markdown(["target", "what it runs", "seconds", "of CPU"], rows)
    if record is None:
        return f"{table}\n\nThe times are not measured yet (`benchmarks/make_targets.py`)."
    return f"{table}\n\n{record['provenance']['machine']['cores']} cores. {source(record)}"


def learner_table() -> str:
    """Accuracy of each head on old and new classes, for each length of the backbone's training."""
    record = read("digits_learner")
    rows = []
    for setting, result in record["results"].items():
        for head, title in HEADS.items():
            parts = [result["summary"][head][part] for part in ("old", "new")]
            rows.append([setting, title, *(f"{accuracy(p)} (minimum {100 * p['least']:.1f})" for p in parts)])
    table = markdown(["", "head", "old classes, %", "new classes, %"], rows)
    return f"{table}\n\n{len(record['seeds'])} seeds. {SELECTION} {source(record)}"


def embedded_table() -> str:
    """What a digits network takes on each emulated core, and whether it answers as here."""
    record = read("embedded")
    rows = []
    for core, made in record["cores"].items():
        numbers = [f"{made[key]:,}" for key in ("code_bytes", "stack_bytes", "instructions")]
        rows.append([core, *numbers, f"{100 * made['top1']:.1f}", "yes" if made["same_bits"] else "no"])
    head = ["core", "flash: code, bytes", "stack, bytes", "instructions per image", "top-1, %", "the host's bits"]
    text = (
        f"The `small` network of the recipe `digits_cyclebnn` (seed {record['seed']}), {record['images']} held-out "
        f"images. On every core the program takes {record['program_bytes']:,} bytes of flash (the `.obn` file has "
        f"{record['model_bytes']:,}) and {record['arena_bytes']:,} bytes of RAM. The code is all kernels and the "
        "test's firmware, optimised for size; the Cortex-M0 and M3 compute floats without a unit for them."
    )
    return f"{text}\n\n{markdown(head, rows)}\n\n{source(record)}"


def _demo(record: dict[str, Any]) -> str:
    rows = [[title, accuracy(record["summary"][key])] for key, title in DEMO.items()]
    runs = record["runs"]
    equal = sum(run["packed_equals_torch"] for run in runs)
    whole = sum(run["survived_power_cut"] for run in runs)
    table = markdown(["accuracy on held-out images", "%"], rows)
    note = f"{len(runs)} seeds. Packed answers equal to PyTorch's: {equal} of {len(runs)}"
    cuts = f"learner whole after eight power cuts: {whole} of {len(runs)}."
    return f"{table}\n\n{note}; {cuts} {SELECTION} {source(record)}"


def _kernels(record: dict[str, Any]) -> str:
    isas = list(dict.fromkeys(row["isa"] for row in record["layers"]))
    cells = {
        (r["layer"], r["isa"]): f"{r['tmac_per_second']:.2f} ({100 * r['floor_share']:.0f} %)" for r in record["layers"]
    }
    rows = [
        [layer, *(cells[layer, isa] for isa in isas)]
        for layer in dict.fromkeys(row["layer"] for row in record["layers"])
    ]
    note = "Useful products, 10¹² per second, one thread; in brackets the share of the floor that the benchmark counts."
    return f"{markdown(['layer', *isas], rows)}\n\n{note} {source(record)}"


def _torch(record: dict[str, Any]) -> str:
    rows = [
        [r["layer"], r["isa"], f"{r['packed_us']:.1f}", f"{r['torch_us']:.1f}", f"{r['ratio']:.1f}"]
        for r in record["layers"]
    ]
    head = ["3×3 convolution", "", "packed, µs", "PyTorch float32, µs", "ratio"]
    return f"{markdown(head, rows)}\n\nOne thread each, in turns, medians. {source(record)}"


def _soak(record: dict[str, Any]) -> str:
    resident = record["resident_bytes"]
    late = resident[len(resident) // 5]
    return (
        f"{record['what']}, for {record['seconds'] / 60:.0f} minutes: {record['models_opened']:,} opened, "
        f"{record['runs']:,} runs, {record['answers_that_differ']} answers that differed from the first one. Resident "
        f"memory with all of them closed: {late / 1e6:.1f} MB after a fifth of the time, {resident[-1] / 1e6:.1f} MB "
        f"at the end; at most {max(record['resident_bytes_at_work']) / 1e6:.1f} MB while they ran. "
        f"The line through the last four fifths rises by {record['growth_bytes'] / 1e6:.2f} MB, "
        f"which the script, whose bound is 1 MB, calls {'flat' if record['flat'] else 'not flat'}. {source(record)}"
    )


if __name__ == "__main__":
    main()
