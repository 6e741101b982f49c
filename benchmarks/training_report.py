"""The results of training: accuracies beside the published ones, what was tried, and what a step takes."""

from typing import Any, NamedTuple

from tables import ROOT, accuracy, markdown, source

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
        "The CycleBNN network above. A sign within rounding of its threshold may fall on either side: real-valued sums "
        "differ in their last bit from one implementation to the next."
    )
    return f"{table}\n\n{note} {source(record)}"


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


def measured(shortened: dict[str, dict[str, Any]]) -> dict[str, Measured]:
    """The runs that the records hold, by recipe."""
    runs = {}
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
        "hand are left out."
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
