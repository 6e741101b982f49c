"""``onebit cost``: what training and running a recipe or a model costs, without training it and without its data."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from onebit.errors import OnebitError
from onebit.files import check_target

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
    from onebit.cost.table import tables

    for part in tables(result):
        console.print(part)
    if result["note"]:
        console.print(result["note"])


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
