"""One comparison of methods at an equal budget: CycleBNN's ResNet-20 on CIFAR-10, the same steps, data and optimiser
for all.

python benchmarks/cifar10_comparison.py --folder build/comparison --output results/cifar10_comparison.json

Nothing is tuned to a method: batch 64, flip and crop, AdamW at 1e-3 with one cosine. The seeds of a method train side
by side, one thread each. A run that its folder holds already is not repeated, so the comparison can be made in pieces;
one that was broken off goes on where it stood.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from onebit.training.record import write_record

RECIPES = {
    "full precision": "full_precision_cifar10_resnet20",
    "plain binary (Bi-Real)": "bireal_cifar10_resnet20",
    "ReCU": "recu_cifar10_resnet20",
    "CycleBNN": "cyclebnn_cifar10_resnet20",
    "RBONN": "rbonn_cifar10_resnet20",
    "CycleBNN × RBONN": "cyclebnn_rbonn_cifar10_resnet20",
}
BUDGET = {
    "model.name": "resnet20_cifar",
    "data.batch_size": "64",
    "data.augment": "flip_crop",
    "data.normalize": "false",
    "optimizer.name": "adamw",
    "optimizer.lr": "1.0e-3",
    "optimizer.weight_decay": "1.0e-5",
    "schedule.name": "cosine",
    "schedule.warmup": "0",
    "trainer.max_epochs": "null",
    "trainer.threads": "1",
}
ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--folder", type=Path, default=Path("build/comparison"), help="of the runs")
    parser.add_argument("--output", default="results/cifar10_comparison.json")
    args = parser.parse_args()
    runs = []
    for name, recipe in track(RECIPES.items(), description="training"):
        made = train(recipe, args.seeds, args.steps, args.folder)
        runs += [{"method": name, **run} for run in made]
    write_record(args.output, {"steps": args.steps, "seeds": args.seeds, "summary": summary(runs), "runs": runs})
    print(json.dumps(summary(runs), indent=1, ensure_ascii=False))


def train(recipe: str, seeds: Sequence[int], steps: int, folder: Path) -> list[dict[str, Any]]:
    """The runs of a recipe, one per seed, side by side."""
    outputs = [folder / f"{recipe}-{steps}-{seed}" for seed in seeds]
    processes = []
    for seed, output in zip(seeds, outputs, strict=True):
        if (output / "record.json").exists():
            continue
        options = {**BUDGET, "trainer.max_steps": steps, "trainer.validate_every": max(1, steps // 4), "seed": seed}
        words = [f"--{key}={value}" for key, value in options.items()]
        if (output / "last.ckpt").exists():
            words.append(f"--resume={output / 'last.ckpt'}")
        command = [sys.executable, "-m", "onebit", "train", str(ROOT / "recipes" / f"{recipe}.yaml"), *words]
        processes.append(subprocess.Popen([*command, "--output", str(output)], stdout=subprocess.DEVNULL))
    for process in processes:
        process.wait()
        if process.returncode != 0:
            sys.exit(f"a run of {recipe} failed: see what it says above, then start again")
    return [
        result(seed, json.loads((output / "record.json").read_text("utf-8")))
        for seed, output in zip(seeds, outputs, strict=True)
    ]


def result(seed: int, record: dict[str, Any]) -> dict[str, Any]:
    figures = record["result"]
    keys = ("last_top1", "best_top1", "seconds", "operations_saved_percent")
    return {"seed": seed, **{key: figures[key] for key in keys}, "commit": record["provenance"]["commit"]}


def summary(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each method: mean and deviation of the last top-1, operations saved, seconds."""
    methods = {}
    for name in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == name]
        top1 = [run["last_top1"] for run in own]
        methods[name] = {
            "last_top1": {
                "mean": statistics.mean(top1),
                "deviation": statistics.stdev(top1) if len(top1) > 1 else None,
            },
            "operations_saved_percent": own[0]["operations_saved_percent"],
            "seconds": statistics.mean(run["seconds"] for run in own),
        }
    return methods


if __name__ == "__main__":
    main()
