"""``onebit bench``: the latency of a packed model, and of each layer beside what this CPU could do.

A layer's floor is the longer of two times: its multiply-accumulates at the rate that the same instruction set's own
convolution reaches on a shape that suits it (3x3, 256 channels for binary, 64 for real ones), and its bytes at the
rate of a copy inside the first-level cache. The rates are measured right before, on one thread, and taken times the
threads. So a layer at its floor runs as well as this engine can; it says nothing about other engines.
"""

import time
from typing import Any

import numpy as np
from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

import onebit
from onebit.errors import OnebitError
from onebit.runtime import _engine
from onebit.runtime.model import Layer
from onebit.tables import folding_table

EXAMPLE = "onebit bench digits.obn --threads 2 --profile"
_CAPTION = "floor: its operations and bytes at the best rates of this instruction set's own kernels, measured here"
_WARM_UP_SECONDS = 0.3
_SECONDS = 2.0
_LEAST_RUNS, _MOST_RUNS = 20, 2000


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="the .obn file")
    parser.add_argument("--threads", type=int, default=1, help="threads of one run")
    parser.add_argument("--isa", default="", help="instruction set (see onebit doctor); default: the best here")
    parser.add_argument("--batch", type=int, default=1, help="images of one run, 1 to 4096")
    parser.add_argument("--profile", action="store_true", help="time every layer too")


def run(args: Namespace) -> dict[str, Any]:
    if not 1 <= args.batch <= 4096:
        raise OnebitError(f"--batch is {args.batch}, outside 1 to 4096")
    model = onebit.load(args.model, threads=args.threads, isa=args.isa)
    session = model.sessions.open(list(model.outputs), args.batch)
    times, profiles = _measure(session, model)
    result: dict[str, Any] = {
        "median_ms": float(np.median(times)),
        "p95_ms": float(np.percentile(times, 95)),
        "threads": args.threads,
        "isa": model.isa,
        "peak_bytes": session.arena_bytes + session.weight_bytes,
    }
    if args.profile:
        rates = _engine.rates(model.isa)
        medians = np.median(profiles, axis=0)
        result["layers"] = [
            {
                "name": layer.name,
                "kernel": f"{model.isa} {layer.kind}",
                "ms": float(ms),
                "floor_ms": floor_ms(layer, args.batch, args.threads, rates),
            }
            for layer, ms in zip(model.layers, medians, strict=True)
        ]
    return result


def show(result: dict[str, Any], console: Console) -> None:
    console.print(
        f"median {result['median_ms']:.3f} ms, 95th percentile {result['p95_ms']:.3f} ms, "
        f"{result['threads']} thread(s), {result['isa']}, {result['peak_bytes'] / 1e6:.2f} MB in use"
    )
    if "layers" in result:
        table = folding_table("layer", "kernel", "ms", "floor ms", "share", caption=_CAPTION)
        total = sum(layer["ms"] for layer in result["layers"]) or 1.0
        for layer in result["layers"]:
            numbers = f"{layer['ms']:.4f}", f"{layer['floor_ms']:.4f}", f"{layer['ms'] / total:.1%}"
            table.add_row(layer["name"], layer["kernel"], *numbers)
        console.print(table)


def floor_ms(layer: Layer, batch: int, threads: int, rates: tuple[float, float, float]) -> float:
    """The least time that a layer could take at the measured rates (binary and real products, bytes; a second).

    Example:
        >>> layer = Layer("conv", "conv_binary", (64, 8, 8), (64, 8, 8), 1, 8, 2_000_000, 1_000)
        >>> floor_ms(layer, batch=1, threads=2, rates=(1e9, 1e8, 1e9))
        1.0
    """
    binary, real, copied = rates
    products = layer.operations / (binary if layer.weight_bits == 1 else real)
    return 1e3 * batch * max(products, layer.traffic / copied) / threads


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
    while len(times) < _LEAST_RUNS or (len(times) < _MOST_RUNS and time.perf_counter() < end):
        before = time.perf_counter_ns()
        session.run(x, y)
        times.append((time.perf_counter_ns() - before) / 1e6)
        profiles.append([nanoseconds / 1e6 for nanoseconds in session.profile()])
    return times, profiles
