"""Every network of the comparison of methods packed, beside itself in PyTorch, on some held-out images.

Each run's last checkpoint is exported as ``onebit export`` does; the real-valued twin too, as float32 throughout. The
answers are compared as in packed_vs_torch.py.

python benchmarks/cifar10_comparison.py --folder build/comparison
python benchmarks/packed_methods.py --folder build/comparison --output results/packed_methods.json
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from cifar10_comparison import RECIPES
from packed_vs_torch import compare
from rich.progress import track

import onebit
from onebit.data import DataModule
from onebit.errors import OnebitError
from onebit.training import load_checkpoint
from onebit.training.record import write_record

BATCH = 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/comparison"), help="of the comparison's runs")
    parser.add_argument("--steps", type=int, default=2400, help="of the runs")
    parser.add_argument("--seed", type=int, default=0, help="of the runs")
    parser.add_argument("--images", type=int, default=1000, help="the first ones of the held-out part")
    parser.add_argument("--output", default="results/packed_methods.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    try:
        rows = [
            {"method": name, **measure(args.folder / f"{recipe}-{args.steps}-{args.seed}" / "last.ckpt", args.images)}
            for name, recipe in track(RECIPES.items(), description="comparing")
        ]
    except OnebitError as problem:
        print(f"packed_methods: {problem}", file=sys.stderr)
        sys.exit(2)
    write_record(args.output, {"seed": args.seed, "steps": args.steps, "images": args.images, "methods": rows})
    for row in rows:
        print(row)


def measure(checkpoint: Path, images: int) -> dict[str, Any]:
    """Size, packed layers and answers of one network."""
    net, info = load_checkpoint(checkpoint)
    data = DataModule(info["data"]["name"], info["data"]["options"])
    x, labels = zip(*data.held_out(info["mean"], info["std"]), strict=True)
    batches = zip(torch.cat(x)[:images].split(BATCH), torch.cat(labels)[:images].split(BATCH), strict=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.obn"
        words = [sys.executable, "-m", "onebit", "export", str(checkpoint), "-o", str(path), "--json"]
        exported = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
        answers = compare(net, onebit.load(path), batches)
    packed = sum(layer["packed"] for layer in exported["layers"])
    return {"step": info["step"], "bytes": exported["bytes"], "packed_layers": packed, **answers}


if __name__ == "__main__":
    main()
