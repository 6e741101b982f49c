"""The plot of several learners on a stream."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator

from onebit.continual.metrics import Accuracies
from onebit.files import atomic_file


def plot_accuracies(runs: Mapping[str, Sequence[Accuracies]], path: str | Path, title: str = "") -> None:
    """Draws the accuracy on the classes seen after each experience: mean over runs, and ± one standard deviation.

    Args:
        runs: the runs of each learner, by its name; over streams of one length.
        path: .png or .svg; replaced if it exists.
        title: above the plot.

    Example:
        >>> run = Accuracies(torch.tensor([[1.0, 0.0], [0.4, 0.8]]), torch.tensor([1.0, 0.6]))
        >>> path = getfixture("tmp_path") / "runs.svg"
        >>> plot_accuracies({"naive": [run, run]}, path)
        >>> path.exists()
        True
    """
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axis = figure.subplots()
    axis.set_prop_cycle(cycler("linestyle", ["-", "--"]) * rcParams["axes.prop_cycle"])  # more lines than colours
    for name, own in runs.items():
        curves = torch.stack([run.seen for run in own]) * 100
        mean, numbers = curves.mean(dim=0), range(len(curves[0]))
        (line,) = axis.plot(numbers, mean, marker="o", markersize=3, label=name)
        if len(curves) > 1:
            spread = curves.std(dim=0)
            axis.fill_between(numbers, mean - spread, mean + spread, color=line.get_color(), alpha=0.15, linewidth=0)
    axis.set_xlabel("experience")
    axis.set_ylabel("accuracy on the classes seen [%]")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right center")
    figure.suptitle(title)
    target = Path(path)
    with atomic_file(target, force=True) as temporary:
        figure.savefig(temporary, format=target.suffix[1:], dpi=120)
