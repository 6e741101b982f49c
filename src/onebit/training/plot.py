"""The plot of a run."""

from pathlib import Path

from matplotlib.figure import Figure

from onebit.files import atomic_file
from onebit.training.history import History


def plot_history(history: History, path: str | Path, title: str = "") -> None:
    """Draws accuracy, loss, precision b_t and cumulative cost over the steps; ``path`` ends in .png or .svg."""
    curve, validations = history.curve, history.validations
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    at = [point["step"] for point in curve]
    results = [
        (axes[0, 0], "top-1 accuracy", [v["step"] for v in validations], [v["top1"] for v in validations], "o-"),
        (axes[0, 1], "training loss", at, [point["loss"] for point in curve], "-"),
        (axes[1, 0], "precision $b_t$ [bits]", at, [point["precision"] for point in curve], "-"),
        (axes[1, 1], "cost so far [steps at 32 bits]", at, [point["cost"] for point in curve], "-"),
    ]
    for axis, label, steps, values, style in results:
        axis.plot(steps, values, style, markersize=3, drawstyle="steps-post" if "precision" in label else "default")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    for axis in axes[1]:
        axis.set_xlabel("step")
    figure.suptitle(title)
    target = Path(path)
    with atomic_file(target, force=True) as temporary:
        figure.savefig(temporary, format=target.suffix[1:], dpi=120)
