"""Four threads over mixed models for ten minutes: does the engine's memory stay flat, and its answers the same?

Each thread opens models and sessions, runs them, compares every answer with the first one, and closes them again, in a
process without PyTorch, as on a device. Every ROUND seconds all are closed and the resident memory is read; memory is
flat if the line through these readings, less the first fifth, rises by less than FLAT_BYTES. Linux only.

python benchmarks/soak.py --minutes 10 --output results/soak.json
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.progress import Progress

import onebit

SEED = 0
THREADS = 4
ROUND = 10
FLAT_BYTES = 1_000_000
NETWORKS = (("small", 8, 1, 10), ("resnet20_cifar", 32, 3, 10), ("birealnet18", 64, 3, 100), ("reactnet18", 64, 3, 100))


def in_another_process(work, *args):
    """What needs PyTorch, whose memory would hide the engine's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def export_all(folder: Path) -> list[Path]:
    import torch

    from onebit import deploy, models

    torch.manual_seed(SEED)
    paths = []
    for name, side, channels, classes in NETWORKS:
        options = {"input_size": side} if name in ("birealnet18", "reactnet18") else {}
        net = models.create(name, num_classes=classes, **options)
        for real_valued in ("float32", "int8"):
            path = folder / f"{name}-{real_valued}.obn"
            example = torch.randn(2, channels, side, side)
            deploy.export(net, path, example, real_valued=real_valued, int8_tolerance=1.0)
            paths.append(path)
    return paths


class Worker(threading.Thread):
    def __init__(self, paths: list[Path], expected: dict[Path, np.ndarray], stop: threading.Event, seed: int) -> None:
        super().__init__()
        self.paths, self.expected, self.stop, self.random = paths, expected, stop, random.Random(seed)
        self.opened = self.runs = self.different = 0

    def run(self) -> None:
        while not self.stop.is_set():
            path = self.random.choice(self.paths)
            model = onebit.load(path, threads=self.random.choice((1, 2)))
            self.opened += 1
            for _ in range(self.random.randint(1, 50)):
                batch = self.random.randint(1, 3)
                answer = model(inputs(model)[:batch])
                self.different += not np.array_equal(answer, self.expected[path][:batch])
                self.runs += 1
                if self.stop.is_set():
                    break


def record(output: str, result: dict) -> None:
    from onebit.training.record import write_record

    write_record(output, result)


def inputs(model: onebit.Model) -> np.ndarray:
    return np.random.default_rng(SEED).standard_normal((3, *model.input_shape), np.float32)


def resident_bytes() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--output", default="results/soak.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = in_another_process(export_all, Path(folder))
        expected = {}
        for path in paths:
            model = onebit.load(path)
            expected[path] = model(inputs(model))
        opened = runs = different = 0  # and no worker is kept: what is measured must not grow with the measuring
        resident, at_work = [], []
        rounds = round(60 * args.minutes / ROUND)
        with Progress(disable=not sys.stderr.isatty()) as progress:
            for i in progress.track(range(rounds), description="soaking"):
                stop = threading.Event()
                here = [Worker(paths, expected, stop, THREADS * i + j) for j in range(THREADS)]
                for worker in here:
                    worker.start()
                time.sleep(ROUND)
                at_work.append(resident_bytes())
                stop.set()
                for worker in here:
                    worker.join()
                resident.append(resident_bytes())
                opened += sum(worker.opened for worker in here)
                runs += sum(worker.runs for worker in here)
                different += sum(worker.different for worker in here)
    late = np.array(resident[rounds // 5 :], np.float64)
    growth = float(np.polyfit(np.arange(len(late)), late, 1)[0] * len(late))
    result = {
        "what": f"{THREADS} threads over {len(paths)} models, opened, run and closed",
        "seed": SEED,
        "seconds": rounds * ROUND,
        "models_opened": opened,
        "runs": runs,
        "answers_that_differ": different,
        "growth_bytes": growth,
        "flat": growth < FLAT_BYTES,
        "resident_bytes": resident,
        "resident_bytes_at_work": at_work,
    }
    in_another_process(record, args.output, result)
    print({key: value for key, value in result.items() if not key.startswith("resident")})
    return 0 if result["flat"] and result["answers_that_differ"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
