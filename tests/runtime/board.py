"""Emulated Cortex-M boards (native/tests/platforms/embedded.sh) that run a program."""

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onebit.runtime import Program

ROOT = Path(__file__).parents[2]
CPUS = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7")
# Of the board's memory (native/embedded/qemu/board.ld).
PROGRAM_BYTES = SAMPLES_BYTES = 64 << 10
ARENA_BYTES = 48 << 10


def script(*words: object) -> str:
    """What native/tests/platforms/embedded.sh prints; skips the test where a tool is missing."""
    command = ["native/tests/platforms/embedded.sh", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    return done.stdout


def answers(cpu: str, program: Program, x: NDArray[np.float32], folder: Path) -> NDArray[np.uint32]:
    """The bits of all outputs, (N, outputs), for samples (N, C, H, W)."""
    samples = folder / "m.samples"
    (folder / "m.obp").write_bytes(program.data)
    values = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).tobytes()
    samples.write_bytes(struct.pack("<II", len(x), x[0].size) + values)
    lines = [line for line in script("answers", cpu, folder / "m.obp", samples).splitlines() if line[0] != "#"]
    return np.array([[int(word, 16) for word in line.split()] for line in lines], np.uint32)


def bits(results: dict[str, NDArray[np.float32]]) -> NDArray[np.uint32]:
    """(N, outputs), as the board prints them, of outputs (N, K) or (N, C, H, W)."""
    rows = [(y if y.ndim == 2 else y.transpose(0, 2, 3, 1)).reshape(len(y), -1) for y in results.values()]
    return np.ascontiguousarray(np.concatenate(rows, axis=1)).view(np.uint32)
