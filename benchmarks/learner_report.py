"""The table of what an update of the learner takes, from the record of benchmarks/learner.py."""

from typing import Any

from tables import markdown, source

GOALS = {"head": 50, "lesson": 2000, "peak": 32e6, "ratio": 5}  # µs, ms, bytes, times faster than PyTorch


def lessons(record: dict[str, Any]) -> str:
    """Times beside PyTorch's and the goals."""
    head, tail, settings = record["head"]["microseconds"], record["tail"], record["settings"]
    took, peaks = tail["milliseconds"], tail["peak_bytes"]
    rows = [[f"head, a mini-batch: {name}", f"{_spread(head[name])} µs"] for name in head]
    rows += [[f"tail: {name}", f"{_spread(values)} ms"] for name, values in took.items()]
    ratios = {
        "head": head["PyTorch, float32"]["median"] / head["native"]["median"],
        "tail": took["PyTorch, float32, update"]["median"] / took["native, update"]["median"],
    }
    checks = [
        ["head, a mini-batch", f"under {GOALS['head']} µs", f"{head['native']['median']:.0f} µs"],
        ["one new class", f"under {GOALS['lesson'] / 1000:.0f} s", f"{took['native, lesson']['median'] / 1000:.2f} s"],
        ["memory beyond the model, teaching", f"under {GOALS['peak'] / 1e6:.0f} MB", f"{peaks['teach'] / 1e6:.1f} MB"],
        *([f"{name} against PyTorch float32", f"{GOALS['ratio']}×", f"{ratio:.1f}×"] for name, ratio in ratios.items()),
    ]
    joules = {part: record[part]["joule"] for part in ("head", "tail")}
    energy = ", ".join(
        f"{part} {1e6 * values['native']:.3g} µJ against {1e6 * values['PyTorch, float32']:.3g}"
        for part, values in joules.items()
    )
    items, room = tail["replay"]
    epochs = settings["tail"]["epochs"]
    note = (
        f"One core, {record['rounds']} rounds in turns, median (minimum). Head: {settings['classes']} classes, "
        f"{settings['features']} features, {settings['batch']} samples, none of them learned yet. "
        f"Tail: {settings['images']} images of a new class, {items} of {room} latents to "
        f"replay, {epochs} epochs of {tail['steps'] // epochs} mini-batches. "
        f"The learner's file has {tail['state_bytes'] / 1e6:.1f} MB, the model's {tail['model_bytes'] / 1e6:.1f} MB; "
        f"rolling the experience back needs {peaks['rollback'] / 1e6:.1f} MB of memory, as the old state is read "
        f"beside it. Arithmetic by the table of [energies](cost.md#energy), estimated, native "
        f"against float32: {energy}."
    )
    parts = [markdown(["what", "took"], rows), markdown(["", "goal", "measured"], checks)]
    return "\n\n".join([*parts, f"{note} {source(record)}"])


def soak(record: dict[str, Any]) -> str:
    """Memory and file of a learner over a thousand experiences."""
    sizes = " or ".join(f"{size:,}" for size in record["file_bytes"])
    return (
        f"{record['what']}: {record['counted']} counted, {record['taken_back']} taken back, a class forgotten "
        f"{record['forgotten']} times, {record['damaged']} commits damaged. The line through the last four fifths of "
        f"the resident memory rises by {record['growth_bytes'] / 1e6:.2f} MB, which the script, whose bound is 1 MB, "
        f"calls {'flat' if record['flat'] else 'not flat'}; the file had {sizes} bytes throughout. {source(record)}"
    )


def _spread(values: dict[str, float]) -> str:
    return f"{values['median']:.1f} ({values['least']:.1f})"
