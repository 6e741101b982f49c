"""``onebit train``: a recipe to checkpoints."""

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from onebit.files import atomic_file, check_target
from onebit.tables import folding_table

EXAMPLE = "onebit train recipes/digits_cyclebnn.yaml --output runs/digits --trainer.max_epochs 40"


def configure(parser: ArgumentParser) -> None:
    # Read when PyTorch is imported: its threads then leave the cores sooner to those of the native backend.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from onebit.training.recipe import leaves

    parser.add_argument("recipe", type=str, help="a YAML file, such as one of the folder recipes")
    parser.add_argument(
        "--output", type=str | None, default=None, help="folder of the run (default: runs/NAME OF RECIPE)"
    )
    parser.add_argument("--resume", type=str | None, default=None, metavar="CKPT", help="go on from this checkpoint")
    parser.add_argument("--record", type=str | None, default=None, metavar="JSON", help="write the record here as well")
    parser.add_argument("--force", action="store_true", help="replace the run that the folder holds, and the record")
    group = parser.add_argument_group("values that replace the recipe's")
    for key, hint in leaves().items():
        group.add_argument(f"--{key}", type=hint, default=argparse.SUPPRESS, metavar="VALUE")


def run(args: Namespace) -> dict[str, Any]:
    from onebit.training import read_recipe
    from onebit.training.folder import is_first_process

    if args.record is not None:
        check_target(args.record, force=args.force)
    recipe = read_recipe(args.recipe, _overrides(args))
    output = args.output or Path("runs") / Path(args.recipe).stem
    if not is_first_process():
        _run_beside(recipe, output, args)
    from onebit.training import fit

    result = fit(recipe, output, resume=args.resume, force=args.force)
    if args.record is not None:
        with atomic_file(args.record, force=args.force) as temporary:
            temporary.write_bytes((Path(output) / "record.json").read_bytes())
    return result


def show(result: dict[str, Any], console: Console) -> None:
    table = folding_table("", "")
    table.add_row("best top-1", f"{result['best_top1']:.2%}")
    table.add_row("last top-1", f"{result['last_top1']:.2%}")
    table.add_row("steps", f"{result['steps']} ({result['epochs']:.1f} epochs)")
    table.add_row("time", f"{result['seconds']:.0f} s, {result['images_per_second']:,.0f} images/s in training")
    table.add_row("operations saved in training", f"{result['operations_saved_percent']:.2f} %")
    if result["skipped"]:
        names = ", ".join(list(result["skipped"])[:10])
        table.add_row("damaged files left out", f"{len(result['skipped'])}: {names}")
    table.add_row("checkpoint", result["checkpoint"])
    console.print(table)


def _overrides(args: Namespace) -> dict[str, Any]:
    from onebit.training.recipe import leaves

    return {key: args[key] for key in leaves() if key in args}


def _run_beside(recipe: Any, output: Any, args: Namespace) -> NoReturn:
    """Another process of a distributed run: the first one speaks for all."""
    from onebit.training import fit
    from onebit.training.interruption import Stopped

    with contextlib.suppress(Stopped):  # the first process stops at the same step and says why
        fit(recipe, output, resume=args.resume, force=args.force, progress=False)
    sys.exit(0)
