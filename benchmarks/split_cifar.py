"""What learners keep of streams of CIFAR: naive, CWR*, latent replay in float and in few bits, and all data at once.

python benchmarks/split_cifar.py --folder build/split_cifar --images 500 --tests 500 --streams nc ni \
    --output results/split_cifar10.json
python benchmarks/split_cifar.py --folder build/split_cifar --images 500 --tests 500 --streams cifar100 \
    --output results/split_cifar100.json

The streams `nc` and `ni` start from a binary backbone that was trained on experience 0 alone, `cifar100` from one that
was trained on CIFAR-10 (cifar_streams.py). The learners at the cut train what is above it, for 10 epochs an experience;
latents of one bit are those of a backbone that was trained with `LatentSign` at the cut. CWR* takes the mini-batches
that are its default; the record says how many each takes. `--images` is the length: how many images a class has. A run
that its folder holds already is not repeated, so the table can be made in pieces; the record names their commits.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from cifar_streams import BACKBONES, Case
from rich.progress import track
from torch import Tensor

import onebit
from onebit import continual, deploy
from onebit.continual import (
    Accuracies,
    AR1Star,
    CWRStar,
    Deployed,
    FullyQuantized,
    Hybrid,
    LatentBinarizer,
    LatentReplay,
    NaiveFineTuning,
    ReplayMemory,
)
from onebit.deploy import Teachable
from onebit.files import atomic_file
from onebit.runtime.learner import learner as teach
from onebit.training.record import provenance, write_record

EPOCHS, BATCH, REPLAYED, MEMORY, CHUNK = 10, 50, 128, 300, 256
TAIL: dict[str, Any] = {"batch": BATCH, "learning_rate": 0.05}


class Outcome(NamedTuple):
    """What a learner made of a stream, and by which work an experience."""

    accuracies: Accuracies
    memory_bytes: int = 0  # of samples
    steps: int = 0  # mini-batches
    new: int = 0  # new samples of a mini-batch
    replayed: int = 0
    learning_rate: float = 0.0


Run = Callable[[Case], Outcome]
WORK = Outcome._fields[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", nargs="+", choices=["nc", "ni", "cifar100"], default=["nc", "ni", "cifar100"])
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS), default=list(LEARNERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=5000, help="of a class, at most, to train with")
    parser.add_argument("--tests", type=int, default=1000, help="of a class, at most, to test with")
    parser.add_argument("--backbone", choices=list(BACKBONES), default="small")
    parser.add_argument("--folder", type=Path, default=Path("build/split_cifar"), help="of the runs")
    parser.add_argument("--output", default="results/split_cifar.json", help="the record")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    wanted = [(stream, learner, seed) for stream in args.streams for seed in args.seeds for learner in args.learners]
    runs = [one(*names, args) for names in track(wanted, description="learning")]
    streams = {stream: summary([run for run in runs if run["stream"] == stream]) for stream in args.streams}
    setting = {"seeds": args.seeds, "backbone": args.backbone, "epochs": EPOCHS, "memory": MEMORY}
    curves = [{key: run[key] for key in ("stream", "learner", "seed", "seen")} for run in runs]
    write_record(args.output, {**setting, "streams": streams, "runs": curves})
    print(json.dumps(streams, indent=1, ensure_ascii=False))


case_of = lru_cache(maxsize=1)(Case)  # it holds the latents of its stream


def one(stream: str, learner: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """A run, from its file if it is there."""
    name = "-".join(
        [
            args.backbone,
            stream,
            learner.replace(" ", "_").replace("/", "_"),
            str(args.images),
            str(args.tests),
            str(seed),
        ]
    )
    path = args.folder / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    case = case_of(stream, seed, args.images, args.tests, args.backbone, args.folder)
    begin = time.perf_counter()
    result, *work = LEARNERS[learner](case)
    run = {
        "stream": stream,
        "learner": learner,
        "seed": seed,
        "accuracy": float(result.seen[-1]),
        "average": result.average,
        "forgetting": result.forgetting,
        "backward_transfer": result.backward_transfer,
        **dict(zip(WORK, work, strict=True)),
        "images_of_a_class": case.images_of_a_class,
        "seconds": time.perf_counter() - begin,
        "seen": result.seen.tolist(),
        "matrix": result.matrix.tolist(),
        "provenance": provenance(),
    }
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(run), "utf-8")
    return run


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each learner: its work, mean and deviation of its figures over the seeds, and the commits that it ran at."""
    table: dict[str, dict[str, Any]] = {}
    for learner in dict.fromkeys(run["learner"] for run in runs):
        own = [run for run in runs if run["learner"] == learner]
        row: dict[str, Any] = {key: own[0][key] for key in (*WORK, "images_of_a_class")}
        row["commits"] = sorted({run["provenance"]["commit"] or "unknown" for run in own})
        changed = [run["provenance"]["modified"] for run in own]
        row["modified"] = True if True in changed else None if None in changed else False
        for key in ("accuracy", "average", "forgetting", "backward_transfer", "seconds"):
            values = [run[key] for run in own]
            deviation = statistics.stdev(values) if len(values) > 1 else None
            row[key] = {"mean": statistics.mean(values), "deviation": deviation}
        table[learner] = row
    return table


def tail_options(case: Case) -> dict[str, Any]:
    return {**TAIL, "steps": max(1, round(EPOCHS * case.size / BATCH)), "seed": case.seed}


def none_yet(case: Case) -> Tensor:
    return torch.zeros(case.classes, dtype=torch.int64)


def outcome(learner: NaiveFineTuning, accuracies: Accuracies, memory_bytes: int = 0, replayed: int = 0) -> Outcome:
    return Outcome(accuracies, memory_bytes, learner.steps, learner.batch, replayed, learner.learning_rate)


def naive(case: Case) -> Outcome:
    parts, rows = case.split(case.cut)
    learner = NaiveFineTuning(rows, none_yet(case), parts.tail, **tail_options(case))
    return outcome(learner, continual.run(learner, case.stream, *case.latents))


def nearest_mean(case: Case) -> Outcome:
    return Outcome(continual.run(continual.NearestClassMean(case.classes), case.stream, *case.features))


def cwr_star(quantised: bool) -> Run:
    """The head alone, at the learner's own length of training."""

    def learn(case: Case) -> Outcome:
        _, rows = case.split("head")
        x = case.features[0][0][case.stream[0].indices]
        arithmetic = Hybrid((float(x.min()), max(1.0, float(x.max())))) if quantised else None
        learner = CWRStar(rows, none_yet(case), arithmetic=arithmetic, seed=case.seed)
        return outcome(learner, continual.run(learner, case.stream, *case.features))

    return learn


def replay(kind: type[LatentReplay] | type[AR1Star], one_bit: bool, quantised: bool = False) -> Run:
    """Latent replay; what its memory takes, full."""

    def learn(case: Case) -> Outcome:
        parts, rows = case.split(case.cut, latent_sign=one_bit)
        memory = ReplayMemory(MEMORY, LatentBinarizer() if one_bit else None, seed=case.seed)
        arithmetic = FullyQuantized(8, 16, 8) if quantised else None
        options = {**tail_options(case), "replayed": REPLAYED, "arithmetic": arithmetic}
        learner = kind(rows, none_yet(case), parts.tail, memory, **options)
        accuracies = continual.run(learner, case.stream, *(case.signed_latents if one_bit else case.latents))
        return outcome(learner, accuracies, memory.bytes, REPLAYED)

    return learn


def cumulative(case: Case) -> Outcome:
    """The whole network on all images so far, with as many mini-batches per experience as naive fine-tuning takes."""
    parts, rows = case.split("stem")
    learner = continual.Cumulative(rows, none_yet(case), parts.tail, **tail_options(case))
    return outcome(learner, continual.run(learner, case.stream, *case.parts))


def learner_of(case: Case, folder: Path) -> onebit.Learner:
    """Over the packed backbone. Where this knows experience 0, its file brings that experience's latents to replay."""
    images, labels = case.seen
    names = [f"backbone {c}" if not case.knows_first else str(c) for c in range(int(labels.max()) + 1)]
    known = torch.bincount(labels).tolist()
    items = Teachable(images, labels.tolist()) if case.knows_first else Teachable()
    path = folder / "model.obn"
    deploy.export(case.net(True), path, images[:CHUNK], classes=names, samples=known, teachable=items)
    learner = onebit.Learner.create(folder / "store", onebit.load(path), replay=MEMORY, seed=case.seed)
    if not case.knows_first:
        for name in names:
            learner.forget(name)
    return learner


def deployed(case: Case) -> Outcome:
    with tempfile.TemporaryDirectory() as folder, learner_of(case, Path(folder)) as learner:
        strategy = Deployed(learner, trained=int(case.knows_first), epochs=EPOCHS)
        accuracies = continual.run(strategy, case.stream, *case.parts)
    item = case.signed_latents[0][0][0].numel() // 8 + 4  # its class takes 4 bytes
    new = teach.BATCH - teach.REPLAYED
    steps = EPOCHS * math.ceil(case.size / new)
    return Outcome(accuracies, MEMORY * item, steps, new, teach.REPLAYED, teach.LEARNING_RATE)


LEARNERS: dict[str, Run] = {
    "naive": naive,
    "nearest class mean": nearest_mean,
    "CWR* float": cwr_star(False),
    "CWR* q8/16": cwr_star(True),
    "AR1* float": replay(AR1Star, False),
    "latent replay float": replay(LatentReplay, False),
    "latent replay 1 bit": replay(LatentReplay, True),
    "AR1* 1 bit q8/16": replay(AR1Star, True, True),
    "latent replay 1 bit q8/16": replay(LatentReplay, True, True),
    "integers": deployed,
    "cumulative": cumulative,
}


if __name__ == "__main__":
    main()
