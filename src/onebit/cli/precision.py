"""``onebit precision``: the lowest precision at which a recipe's training makes progress."""

from dataclasses import asdict
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich import box
from rich.console import Console

from onebit.tables import folding_table

EXAMPLE = "onebit precision recipes/digits_cyclebnn.yaml --lowest 1 --highest 6"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", type=str, help="a YAML file with the method CycleBNN or CPT")
    parser.add_argument("--lowest", type=int, default=2, help="bit width to begin with")
    parser.add_argument("--highest", type=int, default=8, help="bit width to end with, if no lower one suffices")
    parser.add_argument("--steps", type=int, default=100, help="training steps at each precision")
    parser.add_argument("--window", type=int, default=20, help="steps over which the training accuracy is averaged")
    parser.add_argument("--threshold", type=float, default=0.05, help="gain in accuracy that counts, from 0 to 1")


def run(args: Namespace) -> dict[str, Any]:
    import torch
    from rich.progress import Progress

    from onebit.training import precision_range_test, read_recipe

    recipe = read_recipe(args.recipe)
    if recipe.trainer.threads is not None:
        torch.set_num_threads(recipe.trainer.threads)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=args.highest - args.lowest + 1)

        def show_progress(bits: int) -> None:
            bar.update(task, description=f"{bits} bits", completed=bits - args.lowest)

        tried = precision_range_test(
            recipe, args.lowest, args.highest, args.steps, args.window, args.threshold, show_progress
        )
    found = tried[-1].bits if tried[-1].gain > args.threshold else None
    return {"lowest_bits": found, "threshold": args.threshold, "tried": [asdict(step) for step in tried]}


def show(result: dict[str, Any], console: Console) -> None:
    table = folding_table("bits", "training accuracy", "gained", box=box.SIMPLE)
    for step in result["tried"]:
        table.add_row(str(step["bits"]), f"{step['accuracy']:.2%}", f"{step['gain']:+.2%}")
    console.print(table)
    if result["lowest_bits"] is None:
        console.print(f"none gained more than {result['threshold']:.0%}: give more --steps, or a higher optimizer.lr")
    else:
        bits = result["lowest_bits"]
        console.print(f"training makes progress at {bits} bit{'s' * (bits > 1)}: let a cycle begin there")
