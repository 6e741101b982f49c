"""The engine beside ONNX Runtime, OpenVINO, PyTorch and Larq Compute Engine on the same images, in turns, in one run.

The peers run ResNet-18, Larq's engine its own Bi-Real-Net-18 and QuickNet; ours runs Bi-Real-Net-18 and ReActNet-18.
Every engine is a process of its own that is stopped while it is not its turn. In each round every engine runs every
network for a while, after a warm-up; the figures are the medians of the rounds, the ratios are taken round by round.
The networks are untrained, which changes no latency; their BatchNorm statistics are those of the images, so that the
values in them are of the usual size, and the dense layer is fitted to tell the images apart, so that there is a top-1
that int8 has to keep. Each engine's answers are compared before anything is timed.

`make bench` installs the peers and runs this.
"""

import argparse
import itertools
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from peers.networks import make_networks, photographs
from peers.process import Engine, prepare
from peers.ratios import ratio, spread

from onebit.cli import doctor
from onebit.data.dataset import default_root
from onebit.errors import OnebitError
from onebit.training.record import write_record

PEERS = Path(__file__).parent / "peers"
SEED = 0
TOLERANCE = 1e-3  # of the answers in float32
MIN_RUNS, SECONDS, WARM_UP = 5, 0.25, 0.1  # of one turn
OURS, KEYS = "onebit", ("engine", "network", "numbers", "isa")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/peers"), help="environments and networks")
    parser.add_argument("--images", type=Path, help="a folder of photographs (default: the sample of PASCAL VOC 2007)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", default="results/engine_vs_peers.json")
    args = parser.parse_args()
    images = args.images or default_root() / "voc2007-sample" / "VOCdevkit" / "VOC2007" / "JPEGImages"
    try:
        record = measure(args.folder, images, args.rounds)
    except OnebitError as problem:
        print(f"engine_vs_peers: {problem}", file=sys.stderr)
        sys.exit(2)
    write_record(args.output, record)
    for row in record["rows"]:
        name = f"{row['engine']} {row['isa']} {row['network']} {row['numbers']}"
        print(f"{name:60} {row['threads']} thread(s) {row['ms']['median']:8.2f} ms")


def measure(folder: Path, images: Path, rounds: int) -> dict[str, Any]:
    """The record: networks made, engines opened, rounds run."""
    x = photographs(images)
    networks = folder / "networks"
    networks.mkdir(parents=True, exist_ok=True)
    np.save(networks / "images.npy", x.numpy())
    make_networks(networks, x, SEED)
    onnx, larq = str(folder / "onnx/bin/python"), str(folder / "larq/bin/python")
    _say("quantising ResNet-18 with ONNX Runtime's tool")
    prepare(onnx, PEERS / "with_onnxruntime.py", networks)
    if not list(networks.glob("*.tflite")):
        _say("converting Larq's networks")
        prepare(larq, PEERS / "with_larq.py", networks)
    inductor = {"TORCHINDUCTOR_CACHE_DIR": str((folder / "inductor").resolve())}
    engines = [
        (OURS, sys.executable, "with_onebit.py", {}),
        ("ONNX Runtime", onnx, "with_onnxruntime.py", {}),
        ("OpenVINO", onnx, "with_openvino.py", {}),
        ("OpenVINO", onnx, "with_openvino.py", {"ONEDNN_MAX_CPU_ISA": "AVX2"}),
        ("PyTorch", sys.executable, "with_pytorch.py", inductor),
        ("Larq Compute Engine", larq, "with_larq.py", {}),
    ]
    cores = len(os.sched_getaffinity(0))
    versions: dict[str, str] = {}
    turns: list[tuple[Engine, int, dict[str, Any]]] = []
    with ExitStack() as stack:
        for threads, (name, python, file, environment) in itertools.product([1, 2][:cores], engines):
            _say(f"opening {name}, {threads} thread(s)")
            engine = stack.enter_context(Engine(python, PEERS / file, networks, threads, environment))
            versions |= engine.versions
            for index, setting in enumerate(engine.settings):
                if setting["numbers"].endswith("float32") and not setting["difference"] < TOLERANCE:
                    raise OnebitError(f"{name} answers otherwise than its network: {setting}")
                turns.append((engine, index, {"engine": name, "threads": threads, **setting, "round_ms": []}))
        for number in range(rounds):
            _say(f"round {number + 1} of {rounds}")
            for engine, index, row in turns if number % 2 == 0 else reversed(turns):
                times = engine.times(index, MIN_RUNS, SECONDS, WARM_UP)
                row["round_ms"].append(float(np.median(times)))
    return {
        "what": "milliseconds of one image of 224 x 224, batch 1; untrained networks of 1000 classes",
        "seed": SEED,
        "rounds": rounds,
        "turn": {"least_runs": MIN_RUNS, "seconds": SECONDS, "warm_up_seconds": WARM_UP},
        "images": len(x),
        "cpu_features": doctor.run(argparse.Namespace())["cpu_features"],
        "versions": versions,
        "rows": compared([row for _, _, row in turns]),
    }


def compared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their spread, what more threads bring, and on ours the share of each peer's time."""
    for row in rows:
        row["ms"] = spread(row["round_ms"])
        for other in rows:
            same = all(row[key] == other[key] for key in KEYS)
            if same and other["threads"] == 1 < row["threads"]:
                row["speed_up"] = ratio(other["round_ms"], row["round_ms"])
        if row["engine"] == OURS:
            row["share_of"] = [
                {**{key: other[key] for key in KEYS}, **ratio(row["round_ms"], other["round_ms"])}
                for other in rows
                if other["engine"] != OURS and other["threads"] == row["threads"]
            ]
    return rows


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
