"""The results of training: accuracies beside the published ones, what was tried, and what a step takes."""

from pathlib import Path
from typing import Any, NamedTuple

import cifar10_methods
import numpy as np
import torch
from cifar10_comparison import BUDGET, RECIPES
from matplotlib import pyplot as plt
from tables import ROOT, accuracy, markdown, source

from onebit import cost, models
from onebit.training import read_recipe
from onebit.training.recipe import Recipe

SHORTENED = {
    "full_precision_cifar10_resnet20_short": "real-valued twin",
    "constant4_cifar10_resnet20_short": "binary, constant 4 bits",
    "cyclebnn_cifar10_resnet20_short": "binary, CycleBNN, 2 to 6 bits",
}
TRAINING_IMAGES = {"cifar10": 50_000, "imagenet": 1_281_167}


def shortened(records: dict[str, dict[str, Any]]) -> str:
    """Short runs of recipes for CIFAR-10, one row each."""
    rows = []
    for name, record in records.items():
        result = record["result"]
        figures = [f"{100 * result[key]:.2f}" for key in ("last_top1", "best_top1")]
        saved, minutes = f"{result['operations_saved_percent']:.2f}", f"{result['seconds'] / 60:.0f}"
        rows.append([SHORTENED[name], *figures, f"{result['epochs']:.1f}", saved, minutes, source(record)])
    head = ["ResNet-20", "last top-1, %", "best, %", "epochs", "operations saved, %", "minutes, one thread", ""]
    note = (
        "A twelfth of the published length in epochs, at batch 64 without AutoAugment and Cutout: compares the three "
        "runs, not with the paper. The machine was shared with other work, so the minutes are an upper bound. "
        "The path of the checkpoint was taken out of these three records by hand, after the runs."
    )
    return f"{markdown(head, rows)}\n\n{note}"


def packed(record: dict[str, Any]) -> str:
    """The answers of a packed network beside PyTorch's."""
    result = record["result"]
    compared = {
        "packed network against PyTorch": result["packed_against_torch"],
        "PyTorch without oneDNN against PyTorch": result["torch_without_onednn_against_torch"],
    }
    rows = [[title, *(f"{c[key]:,}" for key in ("same_top1", "within_tolerance"))] for title, c in compared.items()]
    table = markdown([f"of {result['images']:,} held-out images", "same top-1", "logits within 1e-3"], rows)
    note = (
        "The CycleBNN network of the shortened run. A sign within rounding of its threshold may fall on either side: "
        "real-valued sums differ in their last bit from one implementation to the next."
    )
    return f"{table}\n\n{note} {source(record)}"


def comparison(record: dict[str, Any]) -> str:
    """Accuracy of each method at an equal budget, and what training and running its network costs."""
    rows = []
    for method, result in record["summary"].items():
        recipe = read_recipe(ROOT / "recipes" / f"{RECIPES[method]}.yaml")
        net = models.create(BUDGET["model.name"], **recipe.model.options)
        operations = cost.count(net, torch.zeros(1, *net.input_shape)).inference["ops"]
        saved = f"{result['operations_saved_percent']:.2f}"
        rows.append([method, accuracy(result["last_top1"]), saved, f"{operations / 1e6:.2f}"])
    head = ["ResNet-20", "last top-1, %", "operations of training saved, %", "inference, 10⁶ OPs"]
    note = (
        f"{record['steps']:,} steps of {BUDGET['data.batch_size']} images ({comparison_epochs(record):.1f} epochs), "
        "the same data, augmentation and optimiser for all, nothing tuned to a method; mean and deviation of "
        f"{len(record['seeds'])} seeds. It shows how the methods begin, and is no measure of what they reach in the "
        "hundreds of epochs of the papers. Operations are the [ledger's](cost.md): of widths, not of time."
    )
    plot = "![accuracy against operations of training](images/cifar10_comparison.png)"
    return f"{markdown(head, rows)}\n\n{plot}\n\n{note} {source(record)}"


def comparison_epochs(record: dict[str, Any]) -> float:
    return record["steps"] * int(BUDGET["data.batch_size"]) / TRAINING_IMAGES["cifar10"]


def draw_comparison(record: dict[str, Any], path: Path) -> None:
    """Top-1 against the operations of training, as a share of those in 32 bits, logarithmic."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for (method, result), marker in zip(record["summary"].items(), "osD^vP", strict=True):
        top1 = result["last_top1"]
        spent = 100 - result["operations_saved_percent"]
        mean, deviation = 100 * top1["mean"], 100 * top1["deviation"]
        axes.errorbar(spent, mean, yerr=deviation, fmt=marker, capsize=4, label=method)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.set_xlabel("operations of training, % of those in 32 bits")
    axes.set_ylabel("CIFAR-10 top-1, %")
    axes.set_title(f"ResNet-20, {record['steps']:,} steps, {len(record['seeds'])} seeds", fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def packed_methods(record: dict[str, Any]) -> str:
    """The answers of each method's network, packed, beside PyTorch's."""
    rows = []
    for row in record["methods"]:
        top1 = [f"{100 * row[key]:.1f}" for key in ("torch_top1", "packed_top1")]
        ours, theirs = (row[key] for key in ("packed_against_torch", "torch_without_onednn_against_torch"))
        agreed = [f"{c[key]:,}" for c in (ours, theirs) for key in ("same_top1", "within_tolerance")]
        rows.append([row["method"], f"{row['packed_layers']}", f"{row['bytes']:,}", *top1, *agreed])
    head = ["", "layers at one bit", "file, bytes", "top-1 in PyTorch, %", "packed, %"]
    head += [f"{who}: {what}" for who in ("packed", "without oneDNN") for what in ("same top-1", "within 1e-3")]
    note = (
        f"The networks of the comparison, seed {record['seed']}, on the first {record['images']:,} held-out images, "
        "each against itself in PyTorch; beside it PyTorch without oneDNN, also against PyTorch. The real-valued twin "
        "is exported as float32."
    )
    return f"{markdown(head, rows)}\n\n{note} {source(record)}"


def scaling(record: dict[str, Any]) -> str:
    """Accuracy with each way of scaling the activations in evaluation."""
    ways = {
        "released": "`released`: not scaled",
        "consistent": "`consistent`: by the running mean of the scale",
        "as in training": "as in training: by each sample's scale, over each batch's range",
    }
    rows = [[title, accuracy(record["summary"][way])] for way, title in ways.items()]
    note = (
        f"The recipe `{record['recipe']}`, {len(record['seeds'])} seeds, mean and deviation, after the last step. Each "
        "seed is trained once: `scaling` changes nothing in training."
    )
    return f"{markdown(['scaling in evaluation', 'top-1, %'], rows)}\n\n{note} {source(record)}"


class Measured(NamedTuple):
    """What a run of a recipe reached here: last top-1 in per cent, after how many epochs, and where."""

    top1: str
    epochs: float
    source: str


def measured(shortened: dict[str, dict[str, Any]], comparison: dict[str, Any]) -> dict[str, Measured]:
    """The runs that the records hold, by recipe; the longer one, where there are two."""
    epochs = comparison_epochs(comparison)
    runs = {
        RECIPES[method]: Measured(accuracy(result["last_top1"]), epochs, source(comparison))
        for method, result in comparison["summary"].items()
    }
    for name, record in shortened.items():
        result = record["result"]
        top1 = f"{100 * result['last_top1']:.1f}"
        runs[name.removesuffix("_short")] = Measured(top1, result["epochs"], source(record))
    return runs


def published(runs: dict[str, Measured]) -> str:
    """Every recipe that has a published figure, with that figure and what a run of it reached here."""
    rows = []
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        recipe = read_recipe(path)
        if recipe.published is not None:
            cells = ["not run", "", ""]
            if path.stem in runs:
                run = runs[path.stem]
                cells = [run.top1, f"{100 * run.epochs / _epochs(recipe):.1f} %", run.source]
            figure = f"{100 * recipe.published['top1']:.1f}"
            rows.append([f"`{path.stem}`", figure, recipe.published["source"], *cells])
    head = ["recipe", "published top-1, %", "source", "measured, %", "of the recipe's epochs", ""]
    note = (
        "Departures of a recipe from its source are in its comment. Recipes for which no published figure was at "
        "hand are left out. A run of the comparison has the comparison's network, batch, augmentation and optimiser, "
        "not those of the recipe."
    )
    return f"{markdown(head, rows)}\n\n{note}"


def _epochs(recipe: Recipe) -> float:
    batch = recipe.data.batch_size * recipe.optimizer.accumulate
    steps = recipe.trainer.max_steps or 0
    return recipe.trainer.max_epochs or steps * batch / TRAINING_IMAGES[recipe.data.name]


def step(record: dict[str, Any]) -> str:
    """Milliseconds and memory of a training step, of each network, beside the counted floor."""
    settings = [f"{record['threads']} threads", f"{record['rounds']} rounds in turns", record["isa"]]
    if record["GOMP_SPINCOUNT"] is not None:
        settings.append(f"GOMP_SPINCOUNT={record['GOMP_SPINCOUNT']}")
    against = f"; the baseline is commit {record['baseline_commit'][:7]}" if record["baseline_commit"] else ""
    note = (
        f"{', '.join(settings)}{against}. Memory is the maximum that a step adds to the resident memory of its "
        "process. The floor counts products and bytes of the binary layers only, at the rates measured beside it: "
        f"{_rates(record['rates'])}. {source(record)}"
    )
    return "\n\n".join([*(_model(name, result) for name, result in record["models"].items()), note])


def _rates(rates: dict[str, float]) -> str:
    return (
        f"{rates['binary'] / 1e9:.0f}·10⁹ products of bits and {rates['levels'] / 1e9:.0f}·10⁹ of levels by signs per "
        f"second and thread, {rates['bytes'] / 1e9:.0f} GB/s in the shared cache, {rates['memory_bytes'] / 1e9:.0f} in "
        "memory"
    )


def _model(name: str, result: dict[str, Any]) -> str:
    steps = [
        [contender, *(f"{times[key]:.0f}" for key in times), f"{result['memory_bytes'][contender] / 1e6:.0f}"]
        for contender, times in result["steps_ms"].items()
    ]
    steps += [[contender, *[""] * 4, why] for contender, why in result["refusals"].items()]
    ratios = [
        [pair, f"{values['median']:.2f} ({values['lower_quartile']:.2f} to {values['upper_quartile']:.2f})"]
        for pair, values in result["ratios"].items()
    ]
    parts = [
        f"### {name}, batch {result['batch']}",
        markdown(["step, ms", "minimum", "lower quartile", "median", "upper quartile", "memory, MB"], steps),
        markdown(["ratio within a round", "median (quartiles)"], ratios),
    ]
    for storage, share in result["floor_shares"].items():
        rows = [_layer(layer, storage) for layer in result["layers"]]
        passes = list(result["layers"][0]["floor_ms"][storage])
        parts += [
            f"Units that store {storage}, ms (floor); all floors together are {100 * share:.0f} % of the fastest step:",
            markdown(["convolution", "unit", "layers", *passes], rows),
        ]
    return "\n\n".join(parts)


def _layer(layer: dict[str, Any], storage: str) -> list[str]:
    took, floor = layer["ms"][storage], layer["floor_ms"][storage]
    shape = f"{layer['side']}×{layer['side']}×{layer['in_channels']}, {layer['out_channels']}, stride {layer['stride']}"
    cells = [f"{took[key]:.2f} ({floor[key]:.2f})" if took else f"not fused ({floor[key]:.2f})" for key in floor]
    return [shape, "outer" if layer["outer"] else "inner", str(layer["count"]), *cells]


def run(record: dict[str, Any]) -> str:
    """Accuracy, speed, time and energy of a recipe that was trained in integers."""
    done, alone, joule = record["run"], record["alone"], record["energy_joule"]
    images = done["steps"] * record["options"]["data.batch_size"]
    rows = [
        ["top-1 of the test images, %", f"{100 * done['test_top1']:.1f}"],
        ["top-1 of held-out training images, %", f"{100 * done['validation_top1']:.1f}"],
        [f"images/s beside other work, threads: {done['threads']}", f"{done['images_per_second']:,.0f}"],
        [f"images/s alone, threads: {alone['threads']}", f"{alone['images_per_second']:,.0f}"],
        ["minutes at that speed", f"{images / alone['images_per_second'] / 60:.0f}"],
        ["energy of the arithmetic, J", f"{joule['training']:.1f}"],
        ["the same in 32 bits, J", f"{joule['training_full_precision']:.0f}"],
    ]
    settings = ", ".join(f"`{key}: {value}`" for key, value in record["options"].items())
    note = (
        f"SHORTENED: {record['epochs']} epochs of the recipe `{record['recipe']}`, seed {record['seed']}, with "
        f"{settings}, trained at commit {done['commit'][:7]}; {alone['steps']} steps alone. Joules are the "
        "[ledger's](cost.md), of arithmetic in 45 nm; memory traffic, which outweighs it, is not in it."
    )
    return f"### A run in integers\n\n{markdown(['ResNet-20, CycleBNN', ''], rows)}\n\n{note} {source(record)}"


def protocol() -> str:
    """How the papers' methods are compared, as the script states it."""
    assert cifar10_methods.__doc__ is not None
    _, begin, rest = cifar10_methods.__doc__.partition("The protocol, set before the first run:")
    points, end, _ = rest.partition("\n\nA run is a folder")
    assert begin
    assert end
    return f"{begin}{points}"


def methods(record: dict[str, Any]) -> str:
    """The papers' methods at length: the protocol, a row for each, and what the plain binary network's setting is."""
    rows = []
    for row in record["summary"]:
        top1 = [_spread(row[key]) for key in ("test_top1", "validation_top1")]
        spent = [
            f"{row['operations_saved_percent']:.2f}",
            f"{row['energy_joule']:,.0f}",
            f"{row['seconds'] / 3600:.1f}",
        ]
        rows.append([row["network"], row["method"], row["setting"], f"{row['seeds']}", *top1, *spent])
    head = ["network", "method", "setting of", "seeds", "test top-1, %", "held-out training images, %"]
    head += ["operations saved, %", "energy, J", "hours, one thread"]
    grid = record["grid"]
    tried = ", ".join(f"{run['setting']} {100 * run['validation_top1']:.1f}" for run in grid["runs"])
    length = record["pilot"] or f"{record['epochs']} epochs"
    note = (
        f"{length} of batch {record['batch_size']}, the same data and augmentation for all, the last weights; "
        f"{record['held_out']:,} training images are held out, the test images were read once for each run. "
        f"The setting of the plain binary network was chosen on the held-out images after {grid['epochs']} epochs, "
        f"in %: {tried}. "
        "Joules are the [ledger's](cost.md), of arithmetic in 45 nm. Hours are beside other work."
    )
    if record["waiting"]:
        note += f" {len(record['waiting'])} runs of the protocol are not finished."
    plot = "![accuracy against what training takes](images/cifar10_methods.png)"
    return f"{markdown(head, rows)}\n\n{plot}\n\n{note} {source(record)}"


def _spread(value: dict[str, float | None]) -> str:
    """
    Example:
        >>> _spread({"mean": 0.875, "deviation": None})
        '87.5'
    """
    return f"{100 * value['mean']:.1f}" if value["deviation"] is None else accuracy(value)


def draw_methods(record: dict[str, Any], path: Path) -> None:
    """Top-1 against the operations, the seconds and the energy of training."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 4), sharey=True, layout="constrained")
    rows = [row for row in record["summary"] if row["network"] == record["summary"][0]["network"]]
    axis = {
        "operations of training, % of those in 32 bits": lambda row: 100 - row["operations_saved_percent"],
        "hours on one thread": lambda row: row["seconds"] / 3600,
        "estimated energy, J": lambda row: row["energy_joule"],
    }
    for axes, (label, place) in zip(panels, axis.items(), strict=True):
        for row, marker in zip(rows, "osD^vPX", strict=False):
            top1 = row["test_top1"]
            deviation = 100 * (top1["deviation"] or 0.0)
            axes.errorbar(place(row), 100 * top1["mean"], deviation, fmt=marker, capsize=4, label=row["method"])
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("CIFAR-10 test top-1, %")
    panels[0].legend(fontsize="small")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


LEARNING = {"fused bfloat16": "-", "fused float32": "--", "PyTorch float32": ":"}  # lines of its plot


def learning(record: dict[str, Any]) -> str:
    """What networks learn that are trained natively, beside PyTorch."""
    rows = []
    for method, ways in record["summary"].items():
        for way, result in ways.items():
            top1 = [accuracy(result[key]) for key in ("test_top1", "validation_top1")]
            speed = f"{result['images_per_second']:,.0f}"
            rows.append([method, way, *top1, f"{result['seconds'] / 60:.0f}", speed])
    head = ["ResNet-20", "computed by", "test top-1, %", "held-out training images, %", "minutes", "images/s"]
    length = f"{record['epochs']:.2g} epochs ({record['steps']:,} steps) of batch {record['batch_size']}"
    shortened = "SHORTENED to " if record["shortened"] else ""
    note = (
        f"{shortened}{length}, {len(record['seeds'])} seeds, one thread per run, mean and deviation; the curve is that "
        f"of {record['held_out']:,} training images that were held out, the test images were read once, at the end."
    )
    return f"{markdown(head, rows)}\n\n![curves](images/fused_learning.png)\n\n{note} {source(record)}"


def draw_learning(record: dict[str, Any], path: Path) -> None:
    """Top-1 of the held-out images over the epochs, a panel for each method."""
    methods = record["summary"]
    figure, panels = plt.subplots(1, len(methods), figsize=(4 * len(methods), 3.5), sharey=True, layout="constrained")
    for axes, (method, ways) in zip(np.atleast_1d(panels), methods.items(), strict=True):
        for way, result in ways.items():
            epochs = [point["epoch"] for point in result["curve"]]
            mean, deviation = (
                np.array([100 * point[key] for point in result["curve"]]) for key in ("mean", "deviation")
            )
            axes.plot(epochs, mean, LEARNING[way], label=way)
            axes.fill_between(epochs, mean - deviation, mean + deviation, alpha=0.2)
        axes.set_title(method, fontsize="medium")
        axes.set_xlabel("epochs")
        axes.grid(alpha=0.3)
    np.atleast_1d(panels)[0].set_ylabel("top-1, held-out training images, %")
    np.atleast_1d(panels)[0].legend(fontsize="small")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
