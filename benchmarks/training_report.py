"""The results of training: accuracies beside the published ones, what was tried, and what a step takes."""

from pathlib import Path
from typing import Any, NamedTuple

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
BFLOAT = "PyTorch bfloat16"
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
        net = models.create(recipe.model.name, **recipe.model.options)
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
    picture = "![accuracy against operations of training](images/cifar10_comparison.png)"
    return f"{markdown(head, rows)}\n\n{picture}\n\n{note} {source(record)}"


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
        "What a recipe does otherwise than its source, its comment says. Recipes for which no published figure was at "
        "hand are left out. A run of the comparison has that one's batch, augmentation and optimiser, not the recipe's."
    )
    return f"{markdown(head, rows)}\n\n{note}"


def _epochs(recipe: Recipe) -> float:
    batch = recipe.data.batch_size * recipe.optimizer.accumulate
    steps = recipe.trainer.max_steps or 0
    return recipe.trainer.max_epochs or steps * batch / TRAINING_IMAGES[recipe.data.name]


def step(records: dict[int | None, dict[str, Any]]) -> str:
    """Milliseconds of a training step, whole and layer by layer, by GOMP_SPINCOUNT (None: not set)."""
    one = records[1000]
    steps = [
        [name, *(f"{r['steps_ms'][name]['median']:.0f} ({r['steps_ms'][name]['least']:.0f})" for r in records.values())]
        for name in one["steps_ms"]
    ]
    ratios = [[name, *(f"{r['ratios'][name]['median']:.2f}" for r in records.values())] for name in one["ratios"]]
    layers = []
    for layer in one["layers"]:
        side, inputs, outputs, stride = (layer[key] for key in ("side", "in_channels", "out_channels", "stride"))
        took, floor = layer["ms"], layer["floor_ms"]
        cells = [
            f"{took['native'][key]:.1f} ({100 * floor[key] / took['native'][key]:.0f} %), {took[BFLOAT][key]:.1f}"
            for key in floor
        ]
        layers.append([f"{side}×{side}×{inputs}, {outputs}, stride {stride}", str(layer["count"]), *cells])
    spin = ["GOMP_SPINCOUNT=1000", "PyTorch's threads as they are"]
    note = (
        f"ResNet-18 for CIFAR, batch {one['batch']}, {one['threads']} threads, {one['rounds']} rounds in turns, median "
        f"(least); {one['isa']}. The goal was half of the time of bfloat16. {source(one)}"
    )
    parts = [markdown(["a step, ms", *spin], steps), markdown(["ratio, within a round", *spin], ratios)]
    head = [f"{key}: native, ms (share of the floor), then bfloat16" for key in one["layers"][0]["floor_ms"]]
    shapes = markdown(["convolution", "layers", *head], layers)
    return "\n\n".join([*parts, note, shapes])
