"""What ResNet-20 learns on CIFAR-10 when it is trained natively, fused, beside PyTorch, over seeds.

python benchmarks/fused_learning.py --folder ../runs/fused_learning --epochs 10

Plain binary (Bi-Real), CycleBNN and RBONN, each by fused units that store bfloat16, by ones that store float32 and by
PyTorch in float32, with the same data, augmentation and optimiser for all. Each run is a folder of `onebit train`, of
one thread; a run that is finished is not repeated, and one that was broken off goes on where it stood. The curve is of
training images that are held out; the test images are read once, when all runs are done.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from onebit.training.recipe import leaves
from onebit.training.record import write_record

ROOT = Path(__file__).parents[1]
METHODS = {
    "plain binary (Bi-Real)": "bireal_cifar10_resnet20",
    "CycleBNN": "cyclebnn_cifar10_resnet20",
    "RBONN": "rbonn_cifar10_resnet20",
}
WAYS = {
    "fused bfloat16": {"trainer.backend": "native", "trainer.storage": "bfloat16"},
    "fused float32": {"trainer.backend": "native", "trainer.storage": "float32"},
    "PyTorch float32": {"trainer.backend": "torch"},
}
BATCH, HELD_OUT, IMAGES = 128, 5000, 50_000
BUDGET = {
    "data.batch_size": BATCH,
    "data.augment": "flip_crop",
    "data.normalize": "false",
    "data.num_workers": 0,
    "data.validation": HELD_OUT,
    "optimizer.name": "adamw",
    "optimizer.lr": "1.0e-3",
    "optimizer.weight_decay": "1.0e-5",
    "schedule.name": "cosine",
    "trainer.threads": 1,
}
SHORTENED = 10
"""Epochs below which the record calls itself shortened."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of the runs")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, help="instead of epochs, to try the script")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--side_by_side", type=int, default=1, help="runs at a time, of one thread each")
    parser.add_argument("--output", default="results/fused_learning.json")
    args = parser.parse_args()
    if len(args.seeds) < 2:
        parser.error("a deviation takes two seeds")
    ways = known_ways()
    epoch = math.ceil((IMAGES - HELD_OUT) / BATCH)
    steps = args.steps or args.epochs * epoch
    wanted = [(method, way, seed) for seed in args.seeds for method in METHODS for way in ways]
    folders = {run: args.folder / f"{METHODS[run[0]]}-{run[1].replace(' ', '_')}-{steps}-{run[2]}" for run in wanted}
    waiting = [run for run in wanted if not (folders[run] / "record.json").exists()]
    groups = [waiting[first : first + args.side_by_side] for first in range(0, len(waiting), args.side_by_side)]
    for group in track(groups, description="training"):
        train([command(*run, steps, min(epoch, steps), folders[run]) for run in group])
    runs = [
        {"method": method, "way": way, "seed": seed, **result(folder)}
        for (method, way, seed), folder in folders.items()
    ]
    content = {
        "epochs": steps / epoch,
        "shortened": f"SHORTENED to {steps / epoch:.2g} epochs" if steps < SHORTENED * epoch else None,
        "steps": steps,
        "batch_size": BATCH,
        "held_out": HELD_OUT,
        "seeds": args.seeds,
        "summary": summary(runs),
        "runs": runs,
    }
    write_record(args.output, content)
    for method, by_way in content["summary"].items():
        for way, figures in by_way.items():
            top1 = figures["test_top1"]
            print(f"{method:24} {way:16} {top1['mean']:.2%} ± {top1['deviation']:.2%}, {figures['seconds']:.0f} s")


def known_ways() -> dict[str, dict[str, str]]:
    """The ways of computing that recipes of this version can say."""
    ways = {}
    for name, options in WAYS.items():
        unknown = [key for key in options if key not in leaves()]
        if unknown:
            print(f"{name} takes no part: recipes have no {', '.join(unknown)}", file=sys.stderr)
        else:
            ways[name] = options
    return ways


def command(method: str, way: str, seed: int, steps: int, every: int, folder: Path) -> list[str]:
    options = {**BUDGET, **WAYS[way], "trainer.max_steps": steps, "trainer.validate_every": every, "seed": seed}
    words = [f"--{key}={value}" for key, value in options.items()]
    if (folder / "last.ckpt").exists():
        words.append(f"--resume={folder / 'last.ckpt'}")
    recipe = ROOT / "recipes" / f"{METHODS[method]}.yaml"
    return [sys.executable, "-m", "onebit", "train", str(recipe), *words, "--output", str(folder)]


def train(commands: Sequence[Sequence[str]]) -> None:
    """Runs side by side."""
    processes = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for words in commands]
    codes = [process.wait() for process in processes]
    if any(codes):
        sys.exit("a run failed: see what it says above, then start again")


def result(folder: Path) -> dict[str, Any]:
    """What a finished run reached; the test images are read for it once, and what they gave is kept in its folder."""
    tested = folder / "test.json"
    if not tested.exists():
        words = [sys.executable, "-m", "onebit", "evaluate", str(folder / "last.ckpt"), "--json"]
        tested.write_text(subprocess.run(words, capture_output=True, text=True, check=True).stdout, encoding="utf-8")
    record = json.loads((folder / "record.json").read_text("utf-8"))
    figures = record["result"]
    return {
        "test_top1": json.loads(tested.read_text("utf-8"))["top1"],
        "validation_top1": figures["last_top1"],
        "seconds": figures["seconds"],
        "images_per_second": figures["images_per_second"],
        "steps": figures["steps"],
        "curve": [{"epoch": v["epoch"], "top1": v["top1"]} for v in record["validations"]],
        "loss": [{"step": point["step"], "loss": point["loss"]} for point in record["curve"]],
        "commit": record["provenance"]["commit"],
        "modified": record["provenance"]["modified"],
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Of each method and way: means and deviations over the seeds."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for method, way in dict.fromkeys((run["method"], run["way"]) for run in runs):
        own = [run for run in runs if (run["method"], run["way"]) == (method, way)]
        found.setdefault(method, {})[way] = {
            **{key: spread([run[key] for run in own]) for key in ("test_top1", "validation_top1")},
            **{key: statistics.mean(run[key] for run in own) for key in ("seconds", "images_per_second")},
            "curve": [
                {"epoch": points[0]["epoch"], **spread([point["top1"] for point in points])}
                for points in zip(*(run["curve"] for run in own), strict=True)
            ],
        }
    return found


def spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "deviation": statistics.stdev(values)}


if __name__ == "__main__":
    main()
