"""What learners keep of streams of CIFAR: naive, CWR*, latent replay in float and in few bits, and all data at once.

python benchmarks/split_cifar.py --folder build/split_cifar --output results/split_cifar.json
python benchmarks/split_cifar.py --folder build/small --images 20 --streams nc --seeds 0 --output /tmp/small.json

Streams: `nc`, Split CIFAR-10, 5 experiences of 2 classes; `ni`, CIFAR-10 in 10 experiences with all classes; both on a
binary backbone that was trained on experience 0 alone; and `cifar100`, 20 classes of CIFAR-100 in 10 experiences, on
one that was trained on CIFAR-10. The learners at the cut train what is above it; latents of one bit are those of a
backbone that was trained with `LatentSign` at the cut. Nothing is tuned to a learner. `--images` is the length: how
many images a class has. A run that its folder holds already is not repeated, so the table can be made in pieces.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

from onebit import continual, data, models
from onebit.continual import (
    Accuracies,
    AR1Star,
    CWRStar,
    FullyQuantized,
    Hybrid,
    LatentBinarizer,
    LatentReplay,
    Learner,
    ReplayMemory,
    Split,
)
from onebit.continual.plot import plot_accuracies
from onebit.data.augment import crop, flip
from onebit.files import replacing
from onebit.training.record import write_record

BACKBONES: dict[str, tuple[dict[str, Any], str, str]] = {  # options, the module behind which the cut is, and the next
    "small": ({"in_shape": [3, 32, 32], "width": 32}, "blocks.5", "blocks.6"),
    "birealnet18": ({"input_size": 32}, "stages.3.0", "stages.3.1"),
}
BACKBONE_EPOCHS, EPOCHS, BATCH, REPLAYED, MEMORY = 15, 10, 50, 128, 300
TAIL: dict[str, Any] = {"batch": BATCH, "learning_rate": 0.05}


@dataclass(frozen=True)
class Setting:
    """A stream of one seed, with what its backbone is trained on; images normalised, labels from 0."""

    stream: continual.Stream
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    backbone: tuple[Tensor, Tensor]
    first: bool  # the backbone was trained on experience 0, so its head knows the classes of that


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", nargs="+", choices=["nc", "ni", "cifar100"], default=["nc", "ni", "cifar100"])
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS), default=list(LEARNERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=5000, help="of a class, at most, in training and in test part")
    parser.add_argument("--backbone", choices=list(BACKBONES), default="small")
    parser.add_argument("--folder", type=Path, default=Path("build/split_cifar"), help="of the runs")
    parser.add_argument("--output", default="results/split_cifar.json", help="the record; a picture a stream beside it")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    wanted = [(stream, learner, seed) for stream in args.streams for seed in args.seeds for learner in args.learners]
    runs = [one(*names, args) for names in track(wanted, description="learning")]
    streams = {stream: summary([run for run in runs if run["stream"] == stream]) for stream in args.streams}
    for stream in args.streams:
        curves = {
            learner: [accuracies(run) for run in runs if (run["stream"], run["learner"]) == (stream, learner)]
            for learner in args.learners
        }
        picture = Path(args.output).with_suffix("")
        plot_accuracies(curves, picture.with_name(f"{picture.name}_{stream}.svg"), f"{stream}, seeds {args.seeds}")
    keys = ("images", "seeds", "backbone")
    setting = {key: getattr(args, key) for key in keys} | {"epochs": EPOCHS, "memory": MEMORY, "replayed": REPLAYED}
    write_record(args.output, {**setting, "streams": streams, "runs": runs})
    print(json.dumps(streams, indent=1, ensure_ascii=False))


def one(stream: str, learner: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """A run, from its file if it is there."""
    name = "-".join([args.backbone, stream, learner.replace(" ", "_").replace("/", "_"), str(args.images), str(seed)])
    path = args.folder / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    case = Case(stream, seed, args.images, args.backbone, args.folder)
    begin = time.perf_counter()
    result, memory = LEARNERS[learner](case)
    run = {
        "stream": stream,
        "learner": learner,
        "seed": seed,
        "accuracy": float(result.seen[-1]),
        "average": result.average,
        "forgetting": result.forgetting,
        "backward_transfer": result.backward_transfer,
        "memory_bytes": memory,
        "seconds": time.perf_counter() - begin,
        "seen": result.seen.tolist(),
        "matrix": result.matrix.tolist(),
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(run), "utf-8")
    return run


def accuracies(run: dict[str, Any]) -> Accuracies:
    return Accuracies(torch.tensor(run["matrix"]), torch.tensor(run["seen"]))


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each learner: mean and deviation of its figures over the seeds."""
    table: dict[str, dict[str, Any]] = {}
    for learner in dict.fromkeys(run["learner"] for run in runs):
        own = [run for run in runs if run["learner"] == learner]
        row: dict[str, Any] = {"memory_bytes": own[0]["memory_bytes"]}
        for key in ("accuracy", "average", "forgetting", "backward_transfer", "seconds"):
            values = [run[key] for run in own]
            deviation = statistics.stdev(values) if len(values) > 1 else None
            row[key] = {"mean": statistics.mean(values), "deviation": deviation}
        table[learner] = row
    return table


@cache
def make_setting(name: str, images: int, seed: int) -> Setting:
    train, test = _normalised("cifar10", images)
    if name == "cifar100":
        own, asked = _normalised("cifar100_subset", images)
        stream = continual.new_classes(own[1], [2] * 10, data="cifar100_subset")
        return Setting(stream, own, asked, train, False)
    if name == "nc":
        stream = continual.new_classes(train[1], [2] * 5, data="cifar10")
    else:
        stream = continual.new_instances(train[1], 10, seed, data="cifar10")
    chosen = stream[0].indices
    return Setting(stream, train, test, (train[0][chosen], train[1][chosen]), True)


@cache
def _normalised(name: str, images: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Training and test part, of each the first ``images`` of a class; by the mean and deviation of CIFAR-10."""
    source, pixels = data.create(name), data.create("cifar10")
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (pixels.mean, pixels.std))
    parts = []
    for x, labels in (source.train(), source.test()):
        kept = torch.cat([(labels == c).nonzero()[:images, 0] for c in range(len(source.classes))]).sort().values
        parts.append(((x[kept] / 255 - mean) / std, labels[kept]))
    return parts[0], parts[1]


def trained_backbone(setting: Setting, latent_sign: bool, path: Path, backbone: str, seed: int) -> nn.Module:
    """The binary network after Adam on the backbone's images; kept in a file."""
    torch.manual_seed(seed)
    options, behind, _ = BACKBONES[backbone]
    (images, labels), classes = setting.backbone, int(setting.backbone[1].max()) + 1
    net = models.create(backbone, num_classes=classes, latent_sign=behind if latent_sign else None, **options)
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
        return net.eval()
    optimizer = torch.optim.Adam(net.parameters(), 2.5e-3)
    generator = torch.Generator().manual_seed(seed)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, BACKBONE_EPOCHS)
    for _ in track(range(BACKBONE_EPOCHS), description=f"training {path.stem}", transient=True):
        for chosen in torch.randperm(len(labels), generator=generator).split(64):
            if len(chosen) == 1:  # BatchNorm cannot measure it
                continue
            x = flip(crop(images[chosen], generator), generator)
            loss = functional.cross_entropy(net(x), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    with replacing(path) as temporary:
        torch.save(net.state_dict(), temporary)
    return net.eval()


class Case:
    """What a learner starts from: a stream, and its backbone cut in two."""

    def __init__(self, name: str, seed: int, images: int, backbone: str, folder: Path) -> None:
        self.name, self.seed, self.images, self.backbone, self.folder = name, seed, images, backbone, folder
        self.setting = make_setting(name, images, seed)
        self.classes = int(self.setting.train[1].max()) + 1
        self.none_yet = torch.zeros(self.classes, dtype=torch.int64)
        self.size = len(self.setting.stream[0].indices)  # about that of every experience

    def split(self, at: str, latent_sign: bool = False) -> tuple[Split, Tensor]:
        """The parts, and the rows of the head."""
        kind = "one_bit" if latent_sign else "real"
        path = self.folder / f"{self.backbone}-{self.name}-{kind}-{self.images}-{self.seed}.pt"
        parts = continual.split(trained_backbone(self.setting, latent_sign, path, self.backbone, self.seed), at)
        rows = torch.zeros(self.classes, parts.weight.shape[1])
        if self.setting.first:
            known = list(self.setting.stream[0].classes)
            rows[known] = parts.weight[known]
        return parts, rows

    def run(self, learner: Learner, parts: Split) -> Accuracies:
        train, test = ((parts.latents(images), labels) for images, labels in (self.setting.train, self.setting.test))
        return continual.run(learner, self.setting.stream, train, test)

    def options(self, passes: float = EPOCHS) -> dict[str, Any]:
        return {**TAIL, "steps": max(1, round(passes * self.size / BATCH)), "seed": self.seed}


def naive(case: Case) -> tuple[Accuracies, int]:
    parts, rows = case.split(BACKBONES[case.backbone][2])
    return case.run(continual.NaiveFineTuning(rows, case.none_yet, parts.tail, **case.options()), parts), 0


def cwr_star(quantised: bool) -> Callable[[Case], tuple[Accuracies, int]]:
    """The head alone, at the learner's own length of training."""

    def learn(case: Case) -> tuple[Accuracies, int]:
        parts, rows = case.split("head")
        features = parts.latents(case.setting.train[0][case.setting.stream[0].indices])
        arithmetic = Hybrid((float(features.min()), max(1.0, float(features.max())))) if quantised else None
        learner = CWRStar(rows, case.none_yet, parts.tail, arithmetic=arithmetic, seed=case.seed)
        return case.run(learner, parts), 0

    return learn


def replay(kind: type[LatentReplay] | type[AR1Star], one_bit: bool, quantised: bool = False) -> Any:
    """Latent replay; what its memory takes, full."""

    def learn(case: Case) -> tuple[Accuracies, int]:
        parts, rows = case.split(BACKBONES[case.backbone][2], latent_sign=one_bit)
        memory = ReplayMemory(MEMORY, LatentBinarizer() if one_bit else None, seed=case.seed)
        arithmetic = FullyQuantized(8, 16, 8) if quantised else None
        options = {**case.options(), "replayed": REPLAYED, "arithmetic": arithmetic}
        accuracies = case.run(kind(rows, case.none_yet, parts.tail, memory, **options), parts)
        return accuracies, memory.bytes

    return learn


def cumulative(case: Case) -> tuple[Accuracies, int]:
    """The whole network on all images so far, with as many passes over them as the others make over what is new."""
    parts, rows = case.split("stem")
    passes = EPOCHS * (len(case.setting.stream) + 1) / 2
    return case.run(continual.Cumulative(rows, case.none_yet, parts.tail, **case.options(passes)), parts), 0


def nearest_mean(case: Case) -> tuple[Accuracies, int]:
    parts, _ = case.split("head")
    return case.run(continual.NearestClassMean(case.classes), parts), 0


LEARNERS: dict[str, Callable[[Case], tuple[Accuracies, int]]] = {
    "naive": naive,
    "nearest class mean": nearest_mean,
    "CWR* float": cwr_star(False),
    "CWR* q8/16": cwr_star(True),
    "AR1* float": replay(AR1Star, False),
    "latent replay float": replay(LatentReplay, False),
    "latent replay 1 bit": replay(LatentReplay, True),
    "latent replay 1 bit q8/16": replay(LatentReplay, True, True),
    "cumulative": cumulative,
}


if __name__ == "__main__":
    main()
