"""The tables and pictures of what learners keep of streams, from the records of benchmarks/split_cifar.py."""

from pathlib import Path
from typing import Any

import torch
from tables import accuracy, markdown, source

from onebit.continual import Accuracies
from onebit.continual.plot import plot_accuracies

TITLES = {
    "nc": "Split CIFAR-10, 5 experiences of 2 new classes, backbone trained on the first",
    "ni": "CIFAR-10, 10 experiences of new images of all classes, backbone trained on the first",
    "cifar100": "20 classes of CIFAR-100, 10 experiences of 2, backbone trained on CIFAR-10",
}
PAIRS = {  # fewer bits, and the same method in float
    "latent replay 1 bit q8/16": "latent replay float",
    "AR1* 1 bit q8/16": "AR1* float",
    "CWR* q8/16": "CWR* float",
}
INTEGERS = "integers, `onebit.Learner`"


def streams(records: list[dict[str, Any]]) -> str:
    parts = []
    for record in records:
        for name, learners in record["streams"].items():
            parts += [f"### {TITLES[name]}", _table(learners, len(record["seeds"])), f"![{name}]({_picture(name)})"]
        parts.append(_note(record))
    return "\n\n".join([*parts, "### Fewer bits against float, in points", _differences(records)])


def draw(records: list[dict[str, Any]], images: Path) -> None:
    """A picture of each stream."""
    for record in records:
        for name, learners in record["streams"].items():
            own = [run for run in record["runs"] if run["stream"] == name]
            curves = {
                learner: [_accuracies(run["seen"]) for run in own if run["learner"] == learner] for learner in learners
            }
            plot_accuracies(curves, images / Path(_picture(name)).name, TITLES[name])


def _accuracies(seen: list[float]) -> Accuracies:
    return Accuracies(torch.empty(0, 0), torch.tensor(seen))


def _picture(name: str) -> str:
    return f"images/stream_{name}.png"


def _table(learners: dict[str, dict[str, Any]], seeds: int) -> str:
    rows = []
    for learner, result in learners.items():
        figures = [accuracy(result[key]) for key in ("accuracy", "forgetting")]
        size = result["memory_bytes"]
        kept = "all images" if learner == "cumulative" else f"{size:,}" if size else "none"
        rows.append([INTEGERS if learner == "integers" else learner, *figures, kept])
    return markdown(
        [f"{seeds} seeds", "accuracy at the end, %", "forgetting, points", "memory of samples, bytes"], rows
    )


def _differences(records: list[dict[str, Any]]) -> str:
    found = {name: learners for record in records for name, learners in record["streams"].items()}
    rows = []
    for few, whole in {**PAIRS, "integers": "AR1* float"}.items():
        cells = []
        for learners in found.values():
            points = 100 * (learners[few]["accuracy"]["mean"] - learners[whole]["accuracy"]["mean"])
            cells.append(f"{points:+.1f}")
        rows.append([INTEGERS if few == "integers" else few, whole, *cells])
    return markdown(["", "against", *found], rows)


def _note(record: dict[str, Any]) -> str:
    share = record["images"]
    return (
        f"A shortened run: {share} training images of a class at most, {record['tests']} held-out ones, the backbone "
        f"`{record['backbone']}` with 32 to 256 channels, cut before its last convolution. Mean ± standard deviation. "
        f"{record['epochs']} epochs an experience, {record['memory']} latents, {record['replayed']} beside each "
        "50 new ones; the integers run by the defaults of `teach`, chosen with another seed on other training images "
        "and on the digits; that kept samples must be most of a mini-batch was seen on held-out images. "
        f"{source(record)}"
    )
