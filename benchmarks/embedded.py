"""A packed digits network on emulated Cortex-M boards: flash, RAM, instructions per image, and whether every held-out
image gets the answer that it gets here. Needs arm-none-eabi-g++ and qemu-system-arm.

onebit train recipes/digits_cyclebnn.yaml --output runs/digits
onebit export runs/digits/last.ckpt -o digits.obn
python benchmarks/embedded.py digits.obn

QEMU does not count cycles. An instruction takes a nanosecond of its clock, and so the ticks of the emulated core
count instructions.
"""

import argparse
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tables import ROOT

import onebit
from onebit import data
from onebit.runtime import Program
from onebit.training.record import write_record

# Nanoseconds of a tick of the board's clock: 12.5 MHz and 25 MHz.
TICKS = {"cortex-m0": 80, "cortex-m3": 80, "cortex-m4": 40, "cortex-m7": 40}
BATCH = 200  # images that the board has room for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--output", default="results/embedded.json")
    args = parser.parse_args()
    model = onebit.load(args.model)
    program = Program(model, ["logits"])
    digits = data.create("digits")
    images, labels = (part.numpy() for part in digits.test())
    x = ((images / 255 - np.float32(model.mean[0])) / np.float32(model.std[0])).astype(np.float32)
    here = model(x)
    cores = {cpu: measure(cpu, program, x, here, labels) for cpu in TICKS}
    record = {
        "seed": model.provenance["seed"],
        "recipe": model.provenance["recipe"],
        "weights_sha256": model.sha256,
        "model_bytes": model.path.stat().st_size,
        "program_bytes": len(program.data),
        "arena_bytes": program.arena_bytes,
        "images": len(labels),
        "top1_here": float((here.argmax(axis=1) == labels).mean()),
        "cores": cores,
    }
    write_record(args.output, record)
    print(cores)


def measure(
    cpu: str, program: Program, x: NDArray[np.float32], here: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, Any]:
    """What one core answers and takes."""
    call("build", cpu)
    parts = [run(cpu, program, x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    logits = np.concatenate([part[0] for part in parts])
    return {
        "code_bytes": int(call("size", cpu)),
        "stack_bytes": max(part[1] for part in parts),
        "instructions": max(part[2] for part in parts) * TICKS[cpu],
        "same_bits": bool((logits.view(np.uint32) == here.view(np.uint32)).all()),
        "top1": float((logits.argmax(axis=1) == labels).mean()),
    }


def run(cpu: str, program: Program, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], int, int]:
    """Logits (N, K), bytes of stack, and ticks of the last image."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("m.obp", "m.samples")]
        files[0].write_bytes(program.data)
        values = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).tobytes()
        files[1].write_bytes(struct.pack("<II", len(x), x[0].size) + values)
        *lines, told = call("answers", cpu, *files).splitlines()
    words = [[int(word, 16) for word in line.split()] for line in lines]
    _, _, stack, ticks = (int(word, 16) for word in told.partition(":")[2].split())
    return np.array(words, np.uint32).view(np.float32), stack, ticks


def call(*words: object) -> str:
    command = ["native/tests/platforms/embedded.sh", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout


if __name__ == "__main__":
    main()
