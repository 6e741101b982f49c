"""``onebit cost``: what training and running a recipe costs, without training it and without its data."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich import box
from rich.console import Console
from rich.table import Column, Table

from onebit.errors import OnebitError
from onebit.files import check_target
from onebit.tables import folding_table

EXAMPLE = "onebit cost recipes/cyclebnn_cifar10_resnet20.yaml --plot cost.png"
PLOTS = (".png", ".svg", ".pdf")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", type=str, help="a YAML file, such as one of the folder recipes")
    parser.add_argument("--plot", type=str | None, default=None, metavar="FILE", help="draw it: .png, .svg or .pdf")
    parser.add_argument("--force", action="store_true", help="replace the plot if it exists")


def run(args: Namespace) -> dict[str, Any]:
    import torch

    from onebit import cost
    from onebit.training import read_recipe
    from onebit.training.build import make_method

    if args.plot is not None:
        _check_plot(args.plot, args.force)
    recipe = read_recipe(args.recipe)
    net, note = _make_net(recipe)
    method = None
    if recipe.method is not None:
        method = make_method(recipe.method.class_path, recipe.method.init_args, trusted=True)
        method.attach(net)
    ledger = cost.count(net, torch.zeros(1, *net.input_shape), method, recipe.optimizer.name, recipe.data.batch_size)
    if args.plot is not None:
        from onebit.cost.plot import plot_ledger

        plot_ledger(ledger, args.plot, title=Path(args.recipe).stem, force=args.force)
    return {**ledger.to_dict(), "note": note}


def show(result: dict[str, Any], console: Console) -> None:
    products = ("forward", "error", "weight")
    layers = Table(
        Column("layer", overflow="fold"), "output", title="multiply-accumulates, by operand widths", box=box.SIMPLE
    )
    for heading in (*products, "saved"):
        layers.add_column(heading, justify="right", no_wrap=True)
    for layer in result["layers"]:
        shape = "×".join(map(str, layer["output_shape"]))
        counts = [_by_width(layer[product]) for product in products]
        layers.add_row(layer["name"], shape, *counts, f"{layer['saved_percent']:.2f} %")
    console.print(layers)

    table = folding_table("", "", title="in all", box=box.SIMPLE)
    formula = result["paper_formula_saved_percent"]
    table.add_row("training operations saved, as they run", f"{result['saved_percent']:.2f} %")
    table.add_row("the same at the method's widths", f"{result['charged_saved_percent']:.2f} %")
    table.add_row("the paper's formula", "-" if formula is None else f"{formula:.2f} %")
    inference = result["inference"]
    table.add_row("inference: BOPs, FLOPs, OPs", ", ".join(_count(inference[key]) for key in ("bops", "flops", "ops")))
    for kind, size in result["memory_bytes"].items():
        batch = f" (batch of {result['batch']})" if kind == "activations" else ""
        table.add_row(f"memory: {kind}{batch}", f"{size / 2**20:,.2f} MiB")
    for kind, energy in result["energy_joule"].items():
        table.add_row(f"arithmetic: {kind.replace('_', ' ')}", f"{1e6 * energy:,.2f} µJ")
    console.print(table)
    for name in result["uncounted"]:
        console.print(f"not counted: {name}")
    if result["note"]:
        console.print(result["note"])


def _check_plot(path: str, force: bool) -> None:
    if Path(path).suffix not in PLOTS:
        raise OnebitError(f"{path}: a plot cannot be written in this format", hint=f"end it in {', '.join(PLOTS)}")
    check_target(path, force=force)


def _make_net(recipe: Any) -> tuple[Any, str]:
    """The recipe's network, and a note if its data set is not there to say how many classes it has."""
    from onebit import data, models
    from onebit.training.build import make_net

    data_set = data.create(recipe.data.name, **recipe.data.options)
    try:
        number = len(data_set.classes if recipe.data.classes is None else recipe.data.classes)
    except OnebitError as problem:
        net: Any = models.create(recipe.model.name, **recipe.model.options)
        return net, f"counted with {net.head.out_features} classes, since {problem.message}"
    return make_net(recipe.model.name, recipe.model.options, number, data_set.shape), ""


def _by_width(counts: dict[str, float]) -> str:
    return "\n".join(f"{_count(macs)} {width.replace('x', '×')}" for width, macs in counts.items() if macs) or "-"


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
