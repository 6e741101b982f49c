"""``onebit cost``: what training and running a recipe or a model costs, without training it and without its data."""

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
RECIPES = (".yaml", ".yml")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "recipe", type=str, help="a YAML file, such as one of the folder recipes, or the name of a model"
    )
    parser.add_argument(
        "--method", type=str | None, default=None, help="such as CycleBNN, with its defaults, or none; not the recipe's"
    )
    parser.add_argument("--full-precision", action="store_true", help="count the model's real-valued twin")
    parser.add_argument("--classes", type=int | None, default=None, help="logits of a model without a recipe (10)")
    parser.add_argument("--batch-size", type=int | None, default=None, help="samples per step (without a recipe: 1)")
    parser.add_argument("--plot", type=str | None, default=None, metavar="FILE", help="draw it: .png, .svg or .pdf")
    parser.add_argument("--force", action="store_true", help="replace the plot if it exists")


def run(args: Namespace) -> dict[str, Any]:
    import torch

    from onebit import cost
    from onebit.training.build import make_method

    if args.plot is not None:
        _check_plot(args.plot, args.force)
    recipe = _recipe(args)
    net, note = _make_net(recipe, args.classes)
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
    table.add_row("of the quantised layers alone, not weighted", "-" if formula is None else f"{formula:.2f} %")
    inference = result["inference"]
    table.add_row("inference: BOPs, FLOPs, OPs", ", ".join(_count(inference[key]) for key in ("bops", "flops", "ops")))
    for kind, energy in result["energy_joule"].items():
        table.add_row(f"arithmetic: {kind.replace('_', ' ')}", f"{1e6 * energy:,.2f} µJ")
    console.print(table)
    console.print(_memory(result))
    for statement in result["published"]:
        verdict = "reproduced" if statement["reproduced"] else f"not reproduced, {statement['explanation']}"
        console.print(
            f"published: {statement['figure']} {statement['what']} ({statement['source']}); "
            f"here {statement['ours']:.2f}: {verdict}"
        )
    for name in result["uncounted"]:
        console.print(f"not counted: {name}")
    if result["note"]:
        console.print(result["note"])


def _memory(result: dict[str, Any]) -> Table:
    title = f"memory of training, batch of {result['batch']}, MiB"
    table = folding_table("", "as PyTorch holds it", "operands at their widths", title=title, box=box.SIMPLE)
    columns = result["memory_bytes"], result["counted_memory_bytes"]
    for kind in columns[0]:
        table.add_row(kind, *(f"{column[kind] / 2**20:,.2f}" for column in columns))
    table.add_row("in all", *(f"{sum(column.values()) / 2**20:,.2f}" for column in columns))
    return table


def _check_plot(path: str, force: bool) -> None:
    if Path(path).suffix not in PLOTS:
        raise OnebitError(f"{path}: a plot cannot be written in this format", hint=f"end it in {', '.join(PLOTS)}")
    check_target(path, force=force)


def _recipe(args: Namespace) -> Any:
    """The recipe, or one made of a model's name, with the method and the batch that were asked for."""
    from onebit.training import read_recipe
    from onebit.training.recipe import parse_recipe

    overrides: dict[str, Any] = {}
    if args.full_precision:
        overrides["model.options"] = {"full_precision": True}
    if args.batch_size is not None:
        overrides["data.batch_size"] = args.batch_size
    if Path(args.recipe).suffix in RECIPES:
        values = read_recipe(args.recipe, overrides).to_dict()
    else:
        data = {"name": "", "batch_size": args.batch_size or 1}
        model = {"name": args.recipe, "options": overrides.get("model.options", {})}
        values = {"model": model, "data": data, "trainer": {"max_steps": 1}}
    if args.method is not None:
        path = args.method if "." in args.method else f"onebit.methods.{args.method}"
        values["method"] = None if args.method == "none" else {"class_path": path}
    return parse_recipe(values, args.recipe)


def _make_net(recipe: Any, classes: int | None) -> tuple[Any, str]:
    """The recipe's network, and a note if no data set is there to say how many classes it has."""
    from onebit import data, models
    from onebit.training.build import make_net

    note = "" if classes else "since no data set was named; --classes sets another number"
    if recipe.data.name:
        data_set = data.create(recipe.data.name, **recipe.data.options)
        try:
            classes = len(data_set.classes if recipe.data.classes is None else recipe.data.classes)
        except OnebitError as problem:
            note = f"since {problem.message}"
        else:
            return make_net(recipe.model.name, recipe.model.options, classes, data_set.shape), ""
    net: Any = models.create(recipe.model.name, **{"num_classes": classes or 10, **recipe.model.options})
    return net, note and f"counted with {net.head.out_features} classes, {note}"


def _by_width(counts: dict[str, float]) -> str:
    return "\n".join(f"{_count(macs)} {width.replace('x', '×')}" for width, macs in counts.items() if macs) or "-"


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
