"""What ResNet-20 learns on CIFAR-10 when it is trained natively, fused, beside PyTorch, over seeds.

python benchmarks/fused_learning.py --folder ../runs/fused_learning --epochs 10

Plain binary (Bi-Real), CycleBNN and RBONN, each by fused units that store bfloat16, by ones that store float32 and by
PyTorch in float32, with the same data, augmentation and optimiser for all. Each run is a folder of `onebit train`, of
one thread (benchmarks/runs.py); a run that is finished is not repeated, and one that was broken off goes on where it
stood.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import runs
from runs import HELD_OUT, mean_curve, spread

from onebit.training.record import write_record

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
BATCH = 128
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
    epoch = runs.epoch(BATCH)
    steps = args.steps or args.epochs * epoch
    wanted = [(method, way, seed) for seed in args.seeds for method in METHODS for way in WAYS]
    folders = {run: args.folder / f"{METHODS[run[0]]}-{run[1].replace(' ', '_')}-{steps}-{run[2]}" for run in wanted}
    waiting = [command(*run, steps, folder) for run, folder in folders.items() if not runs.is_finished(folder)]
    runs.train(waiting, args.side_by_side)
    made = [
        {"method": method, "way": way, "seed": seed, "test_top1": runs.test_top1(folder), **runs.result(folder)}
        for (method, way, seed), folder in folders.items()
    ]
    content = {
        "epochs": steps / epoch,
        "shortened": f"SHORTENED to {steps / epoch:.2g} epochs" if steps < SHORTENED * epoch else None,
        "steps": steps,
        "batch_size": BATCH,
        "held_out": HELD_OUT,
        "seeds": args.seeds,
        "summary": summary(made),
        "runs": made,
    }
    write_record(args.output, content)
    for method, by_way in content["summary"].items():
        for way, figures in by_way.items():
            top1 = figures["test_top1"]
            print(f"{method:24} {way:16} {top1['mean']:.2%} ± {top1['deviation']:.2%}, {figures['seconds']:.0f} s")


def command(method: str, way: str, seed: int, steps: int, folder: Path) -> list[str]:
    every = min(runs.epoch(BATCH), steps)
    options = {**BUDGET, **WAYS[way], "trainer.max_steps": steps, "trainer.validate_every": every, "seed": seed}
    return runs.command(METHODS[method], options, folder)


def summary(made: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Of each method and way: means and deviations over the seeds."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for method, way in dict.fromkeys((run["method"], run["way"]) for run in made):
        own = [run for run in made if (run["method"], run["way"]) == (method, way)]
        found.setdefault(method, {})[way] = {
            **{key: spread([run[key] for run in own]) for key in ("test_top1", "validation_top1")},
            **{key: statistics.mean(run[key] for run in own) for key in ("seconds", "images_per_second")},
            "curve": mean_curve([run["curve"] for run in own]),
        }
    return found


if __name__ == "__main__":
    main()
