"""How the engine's latency grows with the work: pixels, channels, batch, threads; in turns, in one run.

Pixels, batch and threads are those of Bi-Real-Net-18 (untrained, real-valued layers in float32), channels those of a
3x3 binary convolution of 14x14 pixels.

python benchmarks/engine_growth.py --output results/engine_growth.json
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kernels_vs_torch import graph_of, signs
from peers.ratios import spread

import onebit
from onebit import _engine, deploy, models
from onebit.format.writer import write
from onebit.training.record import write_record

SEED = 0
ROUNDS, MIN_RUNS, SECONDS = 7, 3, 0.05  # the last two of one turn
SIDES = (64, 96, 128, 192, 256, 384, 512)
CHANNELS = (32, 64, 128, 256, 512, 1024)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
SIDE, CONV_SIDE = 224, 14


class Point:
    """One run of one size."""

    def __init__(self, sweep: str, x: int, path: Path, batch: int = 1, threads: int = 1) -> None:
        model = onebit.load(path, threads=threads)
        self._session = model.sessions.open(["logits"], batch)
        channels, height, width = model.input_shape
        self._input = np.random.default_rng(SEED).standard_normal((batch, height, width, channels), np.float32)
        channels, height, width = model.outputs["logits"]
        self._output = np.empty((batch, height, width, channels), np.float32)
        self.row: dict[str, Any] = {
            "sweep": sweep,
            "x": x,
            "operations": batch * sum(layer.operations for layer in model.layers),
            "round_ms": [],
        }

    def turn(self) -> None:
        """Adds the median of some runs, the first left out."""
        times: list[float] = []
        end = time.perf_counter() + SECONDS
        while len(times) <= MIN_RUNS or time.perf_counter() < end:
            before = time.perf_counter_ns()
            self._session.run(self._input, [self._output])
            times.append((time.perf_counter_ns() - before) / 1e6)
        self.row["round_ms"].append(float(np.median(times[1:])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="results/engine_growth.json")
    args = parser.parse_args()
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        points = make(Path(folder))
        for number in range(ROUNDS):
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
            for point in points if number % 2 == 0 else reversed(points):
                point.turn()
    rows = [{**point.row, "ms": spread(point.row["round_ms"])} for point in points]
    isa = os.environ.get("ONEBIT_ISA") or _engine.isas()[0]
    write_record(args.output, {"seed": SEED, "rounds": ROUNDS, "isa": isa, "rows": rows})
    for row in rows:
        print(f"{row['sweep']:10} {row['x']:6} {row['operations'] / 1e9:9.3f} GMAC {row['ms']['median']:9.3f} ms")


def make(folder: Path) -> list[Point]:
    """Every size of every sweep, ready to run."""
    nets = {side: folder / f"net{side}.obn" for side in {*SIDES, SIDE}}
    for side, path in nets.items():
        deploy.export(models.create("birealnet18", input_size=side), path, torch.randn(2, 3, side, side))
    convolutions = {channels: folder / f"conv{channels}.obn" for channels in CHANNELS}
    for channels, path in convolutions.items():
        write(path, graph_of(signs(channels, channels, 3, 3), CONV_SIDE), {})
    return [
        *(Point("pixels", side * side, nets[side]) for side in SIDES),
        *(Point("channels", channels, convolutions[channels]) for channels in CHANNELS),
        *(Point("batch", batch, nets[SIDE], batch=batch) for batch in BATCHES),
        *(Point("threads", n, nets[SIDE], threads=n) for n in range(1, len(os.sched_getaffinity(0)) + 1)),
    ]


if __name__ == "__main__":
    main()
