"""``onebit bench``: the latency of a packed model, and of each layer beside what this CPU could do.

A layer's floor is the longer of two times: its multiply-accumulates at the rate that the same instruction set's own
convolution reaches on a shape that suits it (3x3, 256 channels for binary, 64 for others), and its bytes at the
rate of a copy inside the first-level cache. The rates are measured right after, on one thread, and taken times the
threads. So a layer at its floor runs as well as this engine can; it says nothing about other engines. The distance is
the time over the floor. Where the engine runs several layers as one step, the step's time stands at one of them and
the others have none. A convolution's kernel is the one that the engine chose for its shape, by the clock where several
fit.

Memory is told twice: what the engine holds for a run (its arena and the rearranged weights), and by how much the
process grew at most while the model was opened and run, which adds the pages of the file, inputs, outputs and stacks.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.table import Table

import onebit
from onebit import _engine
from onebit.errors import OnebitError
from onebit.runtime.model import Layer
from onebit.tables import folding_table

EXAMPLE = "onebit bench digits.obn --threads 2 --profile"
_CAPTION = (
    "floor: its operations and bytes at the best rates of this instruction set's own kernels, measured here; distance: "
    "ms over floor; a layer without a time ran inside another's step"
)
_WARM_UP_SECONDS = 0.3
_SECONDS = 2.0
_MIN_RUNS, _MAX_RUNS = 20, 2000


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="the .obn file")
    parser.add_argument("--threads", type=int, default=1, help="threads of one run")
    parser.add_argument("--isa", default="", help="instruction set (see onebit doctor); default: the best here")
    parser.add_argument("--batch", type=int, default=1, help="images of one run, 1 to 4096")
    parser.add_argument("--profile", action="store_true", help="time every layer too")


def run(args: Namespace) -> dict[str, Any]:
    if not 1 <= args.batch <= 4096:
        raise OnebitError(f"--batch is {args.batch}, outside 1 to 4096")
    memory = _Memory()
    model = onebit.load(args.model, threads=args.threads, isa=args.isa)
    session = model.sessions.open(list(model.outputs), args.batch)
    times, profiles = _measure(session, model)
    result: dict[str, Any] = {
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "runs": len(times),
        "threads": args.threads,
        "isa": model.isa,
        "peak_bytes": session.arena_bytes + session.weight_bytes,
        "peak_rss_bytes": memory.grown(),
    }
    if args.profile:
        rates = _engine.rates(model.isa)
        medians = np.median(profiles, axis=0)
        result["layers"] = [
            _row(layer, float(ms), floor_ms(layer, args.batch, args.threads, rates), kernel)
            for layer, ms, kernel in zip(model.layers, medians, session.kernels, strict=True)
        ]
    return result


def show(result: dict[str, Any], console: Console) -> None:
    console.print(
        f"median {result['median_ms']:.3f} ms, 95th percentile {result['p95_ms']:.3f} ms of {result['runs']} runs, "
        f"{result['threads']} thread(s), {result['isa']}"
    )
    grown = result["peak_rss_bytes"]
    process = "" if grown is None else f"; the process grew by {grown / 1e6:.2f} MB"
    console.print(f"{result['peak_bytes'] / 1e6:.2f} MB in use by the engine{process}")
    if "layers" in result:
        console.print(_table(result["layers"], result["median_ms"]))


def _row(layer: Layer, ms: float, floor: float, kernel: str) -> dict[str, Any]:
    distance = ms / floor if ms > 0 and floor > 0 else None
    return {"name": layer.name, "kernel": f"{kernel} {layer.kind}", "ms": ms, "floor_ms": floor, "distance": distance}


def _table(layers: Sequence[dict[str, Any]], median: float) -> Table:
    table = folding_table("layer", "kernel", "ms", "floor ms", "distance", "share", caption=_CAPTION)
    total = sum(layer["ms"] for layer in layers)
    floor = sum(layer["floor_ms"] for layer in layers)
    for layer in layers:
        if layer["distance"] is None:
            times = "", f"{layer['floor_ms']:.4f}", "", ""
        else:
            times = _cells(layer["ms"], layer["floor_ms"], median)
        table.add_row(layer["name"], layer["kernel"], *times)
    table.add_section()
    if floor > 0:
        table.add_row("all layers", "", *_cells(total, floor, median))
    table.add_row("between the layers", "", f"{max(median - total, 0):.4f}", "", "", "")
    return table


def _cells(ms: float, floor: float, median: float) -> tuple[str, str, str, str]:
    return f"{ms:.4f}", f"{floor:.4f}", f"{ms / floor:.1f}", f"{ms / median:.1%}"


def floor_ms(layer: Layer, batch: int, threads: int, rates: tuple[float, float, float, float]) -> float:
    """The shortest time that a layer could take at the measured rates (``_engine.rates``: binary and real products,
    bytes, products of bytes; per second).

    Example:
        >>> layer = Layer("conv", "conv_binary", (64, 8, 8), (64, 8, 8), 1, 8, 2_000_000, 1_000)
        >>> floor_ms(layer, batch=1, threads=2, rates=(1e9, 1e8, 1e9, 2e8))
        1.0
    """
    binary, real, copied, int8 = rates
    rate = {1: binary, 8: int8}.get(layer.weight_bits, real)
    return 1e3 * batch * max(layer.operations / rate, layer.traffic / copied) / threads


def _measure(session: _engine.Session, model: onebit.Model) -> tuple[list[float], list[list[float]]]:
    """Milliseconds of each run and of its layers."""
    channels, height, width = model.input_shape
    x = np.random.default_rng(0).standard_normal((session.batch, height, width, channels), np.float32)
    y = [np.empty((session.batch, h, w, c), np.float32) for c, h, w in model.outputs.values()]
    times: list[float] = []
    profiles: list[list[float]] = []
    end = time.perf_counter() + _WARM_UP_SECONDS
    while time.perf_counter() < end:
        session.run(x, y)
    end = time.perf_counter() + _SECONDS
    while len(times) < _MIN_RUNS or (len(times) < _MAX_RUNS and time.perf_counter() < end):
        before = time.perf_counter_ns()
        session.run(x, y)
        times.append((time.perf_counter_ns() - before) / 1e6)
        profiles.append([nanoseconds / 1e6 for nanoseconds in session.profile()])
    return times, profiles


class _Memory:
    """By how much the resident memory of this process grew at most since the object was made."""

    def __init__(self) -> None:
        self._before: int | None = None
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            self._before = _status("VmRSS")
        except OSError:  # not Linux, or not allowed
            pass

    def grown(self) -> int | None:
        """Bytes, to some tens of pages; none where the system does not tell."""
        return None if self._before is None else max(_status("VmHWM") - self._before, 0)


def _status(key: str) -> int:
    """An entry of /proc/self/status, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
