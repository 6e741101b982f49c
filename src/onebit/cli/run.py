"""``onebit run``: classifies images with a packed model."""

from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.progress import track

import onebit
from onebit.tables import folding_table

EXAMPLE = "onebit run digits.obn three.png seven.png"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="the .obn file")
    parser.add_argument("images", nargs="+", help="image files")
    parser.add_argument("--threads", type=int, default=1, help="threads of one run")
    parser.add_argument("--isa", default="", help="instruction set (see onebit doctor); default: the best here")


def run(args: Namespace) -> dict[str, Any]:
    model = onebit.load(args.model, threads=args.threads, isa=args.isa)
    console = Console(stderr=True)
    waiting = console.is_terminal and len(args.images) >= 10
    paths = track(args.images, "running", console=console, transient=True, disable=not waiting)
    return {"images": [_answer(model, path) for path in paths]}


def show(result: dict[str, Any], console: Console) -> None:
    table = folding_table("image", "label", "score")
    for image in result["images"]:
        table.add_row(image["path"], image["label"], f"{image['score']:.1%}")
    console.print(table)


def _answer(model: onebit.Model, path: str) -> dict[str, Any]:
    prediction = model.predict(path)
    return {
        "path": path,
        "label": prediction.label,
        "index": prediction.index,
        "score": prediction.score,
        "scores": [float(score) for score in prediction.scores],
    }
