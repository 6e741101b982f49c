"""Packed 3x3 binary convolutions beside torch.nn.functional.conv2d on the same ±1 tensors, one thread, in turns.

The packed time is the convolution's own, from the engine's profile: bits in, floats out. PyTorch's is float32 in the
faster of its two layouts (channels first, channels last). The answers are compared before anything is timed.

Example: python benchmarks/kernels_vs_torch.py --isa avx2 --output results/kernels_vs_torch_avx2.json
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import onebit
from onebit.errors import OnebitError
from onebit.format.graph import Binarize, ConvBinary, Graph, Value
from onebit.format.window import Window
from onebit.format.writer import write
from onebit.training.record import write_record

LAYERS = [  # side, channels in, channels out
    (56, 64, 64),
    (28, 128, 128),
    (14, 256, 256),
    (7, 512, 512),
    (32, 16, 16),
    (16, 32, 32),
    (8, 64, 64),
]

SEED = 0


def signs(*shape: int) -> Tensor:
    return torch.randint(0, 2, shape) * 2.0 - 1


def graph_of(weight: Tensor, side: int) -> Graph:
    """Signs of the input as bits, and the convolution; the output is called logits."""
    outputs, channels = weight.shape[:2]
    source, bits, result = (
        Value(side, side, channels),
        Value(side, side, channels, bits=True),
        Value(side, side, outputs),
    )
    interval = np.tile(np.array([0, np.inf], np.float32), (channels, 1))
    packed = weight.numpy().transpose(0, 2, 3, 1).astype(np.int8)
    window = Window((3, 3), padding=(1, 1, 1, 1))
    nodes = [
        Binarize("sign", [source], bits, interval),
        ConvBinary("conv", [bits], result, packed, window),
    ]
    return Graph(source, nodes, {"logits": result})


def measure(side: int, channels: int, outputs: int, isa: str, rounds: int) -> dict[str, Any]:
    x, weight = signs(1, channels, side, side), signs(outputs, channels, 3, 3)
    last = torch.channels_last
    layouts = [(x, weight), (x.contiguous(memory_format=last), weight.contiguous(memory_format=last))]
    expected = functional.conv2d(x, weight, padding=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.obn"
        write(path, graph_of(weight, side), {})
        session = onebit.load(path, isa=isa).sessions.open(["logits"], 1)
        output = np.empty((1, side, side, outputs), np.float32)
        pixels = np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1))
        session.run(pixels, [output])
        if not np.array_equal(output.transpose(0, 3, 1, 2), expected.numpy()):
            raise OnebitError(f"the packed {side}x{side}x{channels} convolution differs from PyTorch's")
        packed_ns: list[int] = []
        torch_ns: list[list[int]] = [[], []]
        for _ in range(rounds):
            session.run(pixels, [output])
            packed_ns.append(session.profile()[1])
            for times, (a, b) in zip(torch_ns, layouts, strict=True):
                start = time.perf_counter_ns()
                functional.conv2d(a, b, padding=1)
                times.append(time.perf_counter_ns() - start)
    ours, theirs = statistics.median(packed_ns), min(statistics.median(times) for times in torch_ns)
    return {
        "layer": f"{side}x{side}x{channels}",
        "isa": session.isa,
        "packed_us": ours / 1e3,
        "torch_us": theirs / 1e3,
        "ratio": theirs / ours,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", default="", help="instruction set of the packed side (default: the best one)")
    parser.add_argument("--rounds", type=int, default=200, help="runs of each, alternating")
    parser.add_argument("--output", help="a JSON file for the record")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    try:
        with torch.inference_mode():
            rows = [measure(*layer, arguments.isa, arguments.rounds) for layer in LAYERS]
    except OnebitError as error:
        print(f"kernels_vs_torch: {error}", file=sys.stderr)
        sys.exit(2)
    if arguments.output:
        write_record(arguments.output, {"seed": SEED, "rounds": arguments.rounds, "layers": rows})
    for row in rows:
        print("{layer:>12}  {isa}  packed {packed_us:8.1f} us  torch {torch_us:8.1f} us  {ratio:5.1f}x".format(**row))


if __name__ == "__main__":
    main()
