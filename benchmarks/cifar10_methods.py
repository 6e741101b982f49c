"""The papers' methods on CIFAR-10 at length, by one protocol: ResNet-20 with a shortcut for each convolution.

python benchmarks/cifar10_methods.py --folder ../runs/cifar10_methods

The protocol, set before the first run:

- The network is `resnet20_recu`; CycleBNN's own form, `resnet20_cifar`, stands beside it for the first four methods.
- 45,000 images to train on; 5,000 held out, the same ones in every run, for every choice; the 10,000 test images are
  read once for each run, when it is finished. The weights are the last ones.
- For all: batch 128, crop and flip, normalised images, 100 epochs. Binary networks train natively, fused, in bfloat16
  (`trainer.backend: native`), the real-valued one in PyTorch.
- Each method has the optimiser, rate, decay and schedule that its authors published, for CIFAR-10 where they did, else
  for ImageNet. The plain binary network has none: it gets whichever of the others' settings does best on the held-out
  images after 10 epochs of seed 0, and the record has what each did. CycleBNN × RBONN has CycleBNN's.
- Seeds 0 and 1 for all, 2 for the first four methods.

A run is a folder of `onebit train`, of one thread: one that is finished is not repeated, one that was broken off goes
on. With `--most` the script ends earlier; the record has what is finished and names what is not.
"""

import argparse
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import runs
from runs import HELD_OUT, mean_curve, spread

from onebit.training import read_recipe
from onebit.training.record import write_record

EPOCHS, GRID_EPOCHS, BATCH = 100, 10, 128
NETWORK, OWN = "resnet20_recu", "resnet20_cifar"


class Setting(NamedTuple):
    """An optimiser, its rate and its schedule as published."""

    optimizer: str
    lr: float
    weight_decay: float
    schedule: str
    warmup_epochs: int = 0

    def options(self) -> dict[str, object]:
        return {
            "optimizer.name": self.optimizer,
            "optimizer.lr": self.lr,
            "optimizer.weight_decay": self.weight_decay,
            "schedule.name": self.schedule,
            "schedule.warmup": self.warmup_epochs * runs.epoch(BATCH),
        }


def published(recipe: str) -> Setting:
    """As a recipe trains, whose warm-up is counted in epochs: its steps are those of another batch."""
    made = read_recipe(runs.ROOT / "recipes" / f"{recipe}.yaml")
    rate, warmup = made.optimizer, round(made.schedule.warmup * made.data.batch_size / runs.IMAGES)
    return Setting(rate.name, rate.lr, rate.weight_decay, made.schedule.name, warmup)


PLAIN = "plain binary (Bi-Real)"
METHODS = {  # the recipe that has the method, and whose setting it gets
    "full precision": ("full_precision_cifar10_resnet20", "He et al."),
    PLAIN: ("bireal_cifar10_resnet20", None),
    "CycleBNN": ("cyclebnn_cifar10_resnet20", "CycleBNN"),
    "RBONN": ("rbonn_cifar10_resnet20", "RBONN"),
    "CycleBNN × RBONN": ("cyclebnn_rbonn_cifar10_resnet20", "CycleBNN"),
    "ReCU": ("recu_cifar10_resnet20", "ReCU"),
    "IR-Net": ("irnet_cifar10_resnet20", "IR-Net"),
}
FIRST = list(METHODS)[:4]
GRID = ("CycleBNN", "RBONN", "ReCU", "IR-Net")
"""The settings that the plain binary network may get."""
SETTINGS = {
    "He et al.": Setting("sgd", 0.1, 1e-4, "cosine"),  # the steps of their rate are a cosine here
    **{name: published(METHODS[name][0]) for name in GRID},
}
SHARED = {
    "data.batch_size": BATCH,
    "data.augment": "flip_crop",
    "data.normalize": "true",
    "data.num_workers": 0,
    "data.validation": HELD_OUT,
    "trainer.threads": 1,
}


class Run(NamedTuple):
    method: str
    network: str
    setting: str
    seed: int
    epochs: int

    def folder(self, within: Path) -> Path:
        words = (METHODS[self.method][0].removesuffix("_cifar10_resnet20"), self.network, self.setting)
        name = "-".join(word.replace(" ", "_").replace(".", "") for word in words)
        return within / f"{name}-{self.epochs}-{self.seed}"

    def command(self, within: Path) -> list[str]:
        every = runs.epoch(BATCH)
        options = {
            **SHARED,
            **SETTINGS[self.setting].options(),
            "model.name": self.network,
            "trainer.max_steps": self.epochs * every,
            "trainer.validate_every": every,
            "trainer.backend": "torch" if self.method == "full precision" else "native",
            "seed": self.seed,
        }
        return runs.command(METHODS[self.method][0], options, self.folder(within))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of the runs")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="fewer: a pilot, and the record says so")
    parser.add_argument("--grid_epochs", type=int, default=GRID_EPOCHS)
    parser.add_argument("--most", type=int, help="runs to train now; the rest is left for later")
    parser.add_argument("--side_by_side", type=int, default=1, help="runs at a time, of one thread each")
    parser.add_argument("--output", default="results/cifar10_methods.json")
    args = parser.parse_args()
    grid = [Run(PLAIN, NETWORK, setting, 0, args.grid_epochs) for setting in GRID]
    left = train(grid, args.folder, args.side_by_side, args.most)
    tried = [{**run._asdict(), **runs.result(run.folder(args.folder))} for run in finished(grid, args.folder)]
    chosen = choose(tried) if len(tried) == len(grid) else None
    wanted = plan(chosen, args.epochs)
    train(wanted, args.folder, args.side_by_side, left)
    done = finished(wanted, args.folder)
    if not done:
        print("no run is finished: nothing is recorded")
        return
    made = [
        {
            **run._asdict(),
            "test_top1": runs.test_top1(run.folder(args.folder)),
            **runs.result(run.folder(args.folder)),
        }
        for run in done
    ]
    content = {
        "epochs": args.epochs,
        "pilot": f"PILOT of {args.epochs} epochs instead of {EPOCHS}" if args.epochs < EPOCHS else None,
        "batch_size": BATCH,
        "held_out": HELD_OUT,
        "settings": {name: setting._asdict() for name, setting in SETTINGS.items()},
        "grid": {"epochs": args.grid_epochs, "chosen": chosen, "runs": tried},
        "summary": summary(made),
        "waiting": waiting(done, args.epochs),
        "runs": made,
    }
    write_record(args.output, content)
    for row in content["summary"]:
        print(f"{row['network']:16} {row['method']:24} {row['seeds']} seeds, test top-1 {row['test_top1']['mean']:.2%}")
    print(f"{len(content['waiting'])} runs are waiting")


def plan(chosen: str | None, epochs: int) -> list[Run]:
    """All runs, in their order; without the plain binary network's while its setting is not chosen."""
    others = [method for method in METHODS if method not in FIRST]
    groups = [(FIRST, NETWORK, 0), (FIRST, NETWORK, 1), (others, NETWORK, 0), (others, NETWORK, 1)]
    groups += [(FIRST, NETWORK, 2), (FIRST, OWN, 0), (FIRST, OWN, 1)]
    found = []
    for methods, network, seed in groups:
        for method in methods:
            setting = METHODS[method][1] or chosen
            if setting is not None:
                found.append(Run(method, network, setting, seed, epochs))
    return found


def train(wanted: Iterable[Run], folder: Path, side_by_side: int, max_runs: int | None) -> int | None:
    """Trains what is not finished, at most ``max_runs`` runs; returns how many may still be trained."""
    commands = [run.command(folder) for run in wanted if not runs.is_finished(run.folder(folder))][:max_runs]
    if commands:
        runs.train(commands, side_by_side)
    return None if max_runs is None else max_runs - len(commands)


def finished(wanted: Iterable[Run], folder: Path) -> list[Run]:
    return [run for run in wanted if runs.is_finished(run.folder(folder))]


def waiting(done: Iterable[Run], epochs: int) -> list[dict[str, Any]]:
    """The runs of the protocol that are not finished, also those whose setting is not chosen yet."""
    keys = ("method", "network", "seed")
    found = {tuple(getattr(run, key) for key in keys) for run in done}
    everything = [{key: getattr(run, key) for key in keys} for run in plan(GRID[0], epochs)]
    return [run for run in everything if tuple(run.values()) not in found]


def choose(grid: list[dict[str, Any]]) -> str:
    """The setting that does best on the held-out images."""
    setting: str = max(grid, key=lambda run: run["validation_top1"])["setting"]
    return setting


def summary(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each network and method: means and deviations over the seeds."""
    rows = []
    for network, method in dict.fromkeys((run["network"], run["method"]) for run in made):
        own = [run for run in made if (run["network"], run["method"]) == (network, method)]
        rows.append(
            {
                "network": network,
                "method": method,
                "setting": own[0]["setting"],
                "seeds": len(own),
                **{key: spread([run[key] for run in own]) for key in ("test_top1", "validation_top1")},
                "seconds": statistics.mean(run["seconds"] for run in own),
                "operations_saved_percent": statistics.mean(run["operations_saved_percent"] for run in own),
                "energy_joule": statistics.mean(run["energy_joule"]["training"] for run in own),
                "curve": mean_curve([run["curve"] for run in own]),
            }
        )
    return rows


if __name__ == "__main__":
    main()
