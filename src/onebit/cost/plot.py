"""The plot of a ledger."""

from os import PathLike
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from onebit.cost.ledger import Ledger
from onebit.cost.rule import FULL
from onebit.files import atomic_file


def plot_ledger(ledger: Ledger, path: str | PathLike[str], title: str = "", *, force: bool = False) -> None:
    """Draws a training step: bit operations layer by layer beside those in 32 bits, and memory by kind of tensor.

    Args:
        ledger: counts for one sample.
        path: ends in .png, .svg or .pdf.
        title: above the plot.
        force: replace a file that exists.

    Raises:
        OnebitError: the file exists and ``force`` is not set, or its folder does not exist.
    """
    names = [layer.name for layer in ledger.layers]
    full = [float(FULL**2 * sum(layer.macs.values())) for layer in ledger.layers]
    spent = [all32 * (1 - layer.saved_percent / 100) for all32, layer in zip(full, ledger.layers, strict=True)]
    kinds = list(ledger.memory_bytes)
    figure = Figure(figsize=(7, 3.5 + 0.3 * (len(names) + len(kinds))), layout="constrained")
    figure.suptitle(title)
    above, below = figure.subplots(2, height_ratios=(len(names), len(kinds) + 1))
    label = f"as trained ({ledger.saved_percent:.2f} % saved in all)"
    _pairs(above, names, full, spent, ("32 bits", label))
    above.set_xscale("log")
    above.set_xlabel("bit operations of a training step, per sample")
    real, counted = (
        [sizes[kind] / 2**20 for kind in kinds] for sizes in (ledger.memory_bytes, ledger.counted_memory_bytes)
    )
    _pairs(below, kinds, real, counted, ("as PyTorch holds it", "operands at their widths"))
    below.set_xlabel(f"memory of training, batch of {ledger.batch}, MiB")
    with atomic_file(path, force=force) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:], dpi=120)


def _pairs(axes: Axes, names: list[str], first: list[float], second: list[float], labels: tuple[str, str]) -> None:
    """Two bars per name, from top to bottom."""
    places = range(len(names))
    axes.barh([place - 0.2 for place in places], first, 0.4, label=labels[0], color="0.75")
    axes.barh([place + 0.2 for place in places], second, 0.4, label=labels[1])
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.legend()
