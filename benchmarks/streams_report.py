"""The tables and plots of what learners keep of streams, from the records of benchmarks/split_cifar.py."""

from pathlib import Path
from typing import Any

import torch
from tables import accuracy, markdown

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
EARLIER = "Runs of `cumulative` at an unknown commit were made the day before, when runs did not note it. "
INTEGERS = "integers, `onebit.Learner`"


def streams(records: list[dict[str, Any]]) -> str:
    parts = []
    for record in records:
        for name, learners in record["streams"].items():
            parts += [f"### {TITLES[name]}", _table(learners, len(record["seeds"])), f"![{name}]({_plot(name)})"]
        parts.append(_note(record))
    return "\n\n".join([*parts, "### Fewer bits against float, in points", _differences(records)])


def draw(records: list[dict[str, Any]], images: Path) -> None:
    """One plot per stream."""
    for record in records:
        for name, learners in record["streams"].items():
            own = [run for run in record["runs"] if run["stream"] == name]
            curves = {
                learner: [_accuracies(run["seen"]) for run in own if run["learner"] == learner] for learner in learners
            }
            plot_accuracies(curves, images / Path(_plot(name)).name, TITLES[name])


def _accuracies(seen: list[float]) -> Accuracies:
    return Accuracies(torch.empty(0, 0), torch.tensor(seen))


def _plot(name: str) -> str:
    return f"images/stream_{name}.png"


def _table(learners: dict[str, dict[str, Any]], seeds: int) -> str:
    rows = []
    for learner, result in learners.items():
        figures = [accuracy(result[key]) for key in ("accuracy", "forgetting")]
        size = result["memory_bytes"]
        kept = "all images" if learner == "cumulative" else f"{size:,}" if size else "none"
        work = f"{result['steps']} of {result['new']} + {result['replayed']}" if result["steps"] else "none"
        rows.append([INTEGERS if learner == "integers" else learner, *figures, kept, work])
    heads = ["accuracy at the end, %", "forgetting, points", "memory of samples, bytes", "mini-batches per experience"]
    return markdown([f"{seeds} seeds", *heads], rows)


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
    streams = {name: list(learners.values()) for name, learners in record["streams"].items()}
    lots = [(name, rows[0]["images_of_a_class"]) for name, rows in streams.items()]
    images = "; ".join(
        f"`{name}`: {lot['train']} training images per class, {lot['test']} held-out ones, a backbone trained on "
        f"{lot['backbone']} per class"
        for name, lot in lots
    )
    rows = [row for own in streams.values() for row in own]
    commits = sorted({commit[:7] for row in rows for commit in row["commits"]})
    return (
        f"A shortened run: {images}; `{record['backbone']}` with 32 to 256 channels, cut before its last convolution, "
        f"and {record['memory']} latents. Mean ± standard deviation. A mini-batch has new samples + replayed "
        "ones; where a backbone knows the first experience, the integers begin with the second. They run by the "
        "defaults of `teach`, which were chosen on the digits and on training images that no experience has; that most "
        "of a mini-batch must be replayed was seen on test images of `nc` (trials without a record). `cumulative` is "
        "no upper bound here: it has as many mini-batches as naive fine-tuning. "
        f"{EARLIER if 'unknown' in commits else ''}{record['provenance']['machine']['cpu']}, "
        f"commits {', '.join(commits)}, written {record['provenance']['date'][:10]}."
    )
