"""What the options of a lesson do to `onebit.Learner` on streams of CIFAR: the defaults, and changes of them.

python benchmarks/lesson_options.py --folder build/lesson_options --output results/lesson_options.json

No test image is used: of the training images of a class the first three quarters are taught, the others held out. A
stream's figure is the mean of the accuracies on the classes seen after each experience, and that at the end.
"""

import argparse
import json
import statistics
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from cifar_streams import Case, Labelled
from rich.progress import track
from split_cifar import Deployed
from torch.nn import functional

from onebit import continual
from onebit.training.record import write_record

OPTIONS: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "the tail stays: tail_rate 0": {"tail_rate": 0.0},
    "tail_rate 0.03": {"tail_rate": 0.03},
    "learning_rate and tail_rate 0.03": {"learning_rate": 0.03, "tail_rate": 0.03},
    "epochs 3": {"epochs": 3},
    "replayed 14 of 50": {"replayed": 14},
}
IMAGES = 500  # of a class, at most, taught and held out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", nargs="+", choices=["nc", "ni", "cifar100"], default=["nc", "ni", "cifar100"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8])
    parser.add_argument("--folder", type=Path, default=Path("build/lesson_options"), help="of the backbones")
    parser.add_argument("--output", default="results/lesson_options.json", help="the record")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    cases = [HeldOut(name, seed, IMAGES, 0, "small", args.folder) for name in args.streams for seed in args.seeds]
    seen: dict[str, dict[str, list[list[float]]]] = {option: {name: [] for name in args.streams} for option in OPTIONS}
    for case in track(cases, description="learning"):
        for option, values in OPTIONS.items():
            seen[option][case.name].append(taught(case, values))
    means = {option: {name: summary(runs) for name, runs in streams.items()} for option, streams in seen.items()}
    write_record(args.output, {"seeds": args.seeds, "images": IMAGES, "means": means, "seen": seen})
    print(json.dumps(means, indent=1))


class HeldOut(Case):
    """A stream of the first three quarters of each class's training images; the rest are its test part."""

    @cached_property
    def parts(self) -> tuple[Labelled, Labelled]:
        images, labels = super().parts[0]
        ranks = functional.one_hot(labels).cumsum(0)[torch.arange(len(labels)), labels]  # in its class, from 1
        kept = ranks <= 0.75 * labels.bincount()[labels]
        return (images[kept], labels[kept]), (images[~kept], labels[~kept])


def taught(case: Case, options: dict[str, Any]) -> list[float]:
    """Accuracy on the classes seen, after each experience."""
    with tempfile.TemporaryDirectory() as folder:
        learner = Deployed(case, Path(folder), **options)
        with learner.learner:
            return continual.run(learner, case.stream, *case.parts).seen.tolist()


def summary(runs: list[list[float]]) -> dict[str, float]:
    return {
        "average": statistics.mean(statistics.mean(run) for run in runs),
        "end": statistics.mean(run[-1] for run in runs),
    }


if __name__ == "__main__":
    main()
