"""One engine in a process of its own, which runs when it is told to. Needs numpy only, and what the engine needs.

    python worker.py with_onnxruntime.py FOLDER THREADS            # serves
    python worker.py with_onnxruntime.py FOLDER THREADS --prepare  # makes the files that this engine needs, and ends

It reads a JSON object a line from stdin and answers with one on stdout; whatever else writes to stdout goes to stderr.
An engine is a file with ``versions()``, ``settings(folder, threads)`` and, if it needs it, ``prepare(folder)``.
"""

import ctypes
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np


@dataclass
class Setting:
    """A network as one engine runs it.

    Attributes:
        network: its name.
        numbers: the formats of weights and activations.
        file: what the engine read.
        inputs: one image each, as the engine takes it.
        run: from an input to the outputs, as the engine gives them.
        reference: a .npy file of the outputs that the network should have, (N, classes).
        how: what else was chosen.
        isa: the instruction set that it was held to; none if it was free.
    """

    network: str
    numbers: str
    file: Path
    inputs: Sequence[Any]
    run: Callable[[Any], Any]
    reference: Path
    how: str = ""
    isa: str = ""

    def told(self) -> dict[str, Any]:
        """What the record says of it. Its answers are compared over all images.

        ``difference`` is the largest one from the reference, as a share of the largest output; the median over the
        images, for one sign that rounds to the other side moves all that an untrained network says of an image.
        """
        expected = np.load(self.reference)
        got = np.stack([np.array(self.run(x), np.float32).ravel() for x in self.inputs])  # engines reuse their memory
        differences = np.abs(got - expected).max(axis=1) / np.abs(expected).max(axis=1)
        return {
            "network": self.network,
            "numbers": self.numbers,
            "isa": self.isa,
            "how": self.how,
            "file_bytes": self.file.stat().st_size,
            "difference": float(np.median(differences)),
            "same_top1": int((got.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        }

    def times(self, min_runs: int, seconds: float, warm_up: float) -> list[float]:
        """Milliseconds of each run, over the images in turn: at least so many runs and so long, after a warm-up."""
        self._repeat(2, warm_up)
        return self._repeat(min_runs, seconds)

    def _repeat(self, min_runs: int, seconds: float) -> list[float]:
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < min_runs or time.perf_counter() < end:
            x = self.inputs[len(times) % len(self.inputs)]
            before = time.perf_counter_ns()
            self.run(x)
            times.append((time.perf_counter_ns() - before) / 1e6)
        return times


def fastest(variants: dict[str, Callable[[Any], Any]], x: Any) -> tuple[str, Callable[[Any], Any]]:
    """The way, of several, whose best of a few runs is the shortest."""

    def best(run: Callable[[Any], Any]) -> float:
        run(x)
        times = []
        for _ in range(6):
            before = time.perf_counter()
            run(x)
            times.append(time.perf_counter() - before)
        return min(times)

    name = min(variants, key=lambda name: best(variants[name]))
    return name, variants[name]


def main() -> None:
    path, folder, threads, *prepare = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: stopped, it would outlive who started it
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    engine = _engine(Path(path))
    if prepare:
        if hasattr(engine, "prepare"):
            engine.prepare(Path(folder))
        return
    settings = engine.settings(Path(folder), int(threads))
    _reply(replies, {"versions": engine.versions(), "settings": [setting.told() for setting in settings]})
    for line in sys.stdin:
        request = json.loads(line)
        _reply(replies, settings[request.pop("setting")].times(**request))


def _engine(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _reply(replies: Any, what: Any) -> None:
    print(json.dumps(what), file=replies, flush=True)


if __name__ == "__main__":
    main()
