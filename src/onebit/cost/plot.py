"""The picture of a ledger."""

from os import PathLike
from pathlib import Path

from matplotlib.figure import Figure

from onebit.cost.ledger import Ledger
from onebit.cost.rule import FULL
from onebit.files import replacing


def plot_ledger(ledger: Ledger, path: str | PathLike[str], title: str = "", *, force: bool = False) -> None:
    """Draws the bit operations of a training step, layer by layer, beside those in 32 bits.

    Args:
        ledger: of one sample.
        path: ends in .png, .svg or .pdf.
        title: above the plot.
        force: replace a file that exists.

    Raises:
        OnebitError: the file exists and ``force`` is not set, or its folder does not exist.
    """
    names = [layer.name for layer in ledger.layers]
    places = list(range(len(names)))
    full = [FULL**2 * sum(layer.macs.values()) for layer in ledger.layers]
    spent = [all32 * (1 - layer.saved_percent / 100) for all32, layer in zip(full, ledger.layers, strict=True)]
    figure = Figure(figsize=(7, 1.5 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.barh([place - 0.2 for place in places], full, 0.4, label="32 bits", color="0.75")
    label = f"as trained ({ledger.saved_percent:.2f} % saved in all)"
    axes.barh([place + 0.2 for place in places], spent, 0.4, label=label)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("bit operations of a training step, a sample")
    axes.set_title(title)
    axes.legend()
    with replacing(path, force=force) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:], dpi=120)
