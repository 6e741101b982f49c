"""``onebit run``: classifies images with a packed model, or with what a learner has learned."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.progress import track

import onebit
from onebit.errors import OnebitError
from onebit.runtime.image import SUFFIXES, image_paths
from onebit.runtime.learner.store import STATE
from onebit.tables import folding_table

EXAMPLE = "onebit run digits.obn three.png seven.png"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="the .obn file, or a learner's folder")
    parser.add_argument("images", nargs="+", help="image files, and folders of them")
    parser.add_argument("--threads", type=int, default=1, help="threads of one run")
    parser.add_argument("--isa", default="", help="instruction set (see onebit doctor); default: the best here")


def run(args: Namespace) -> dict[str, Any]:
    if not (Path(args.model) / STATE).is_file():
        return answers(onebit.load(args.model, threads=args.threads, isa=args.isa), args.images)
    with onebit.Learner.open(args.model) as learner:
        return answers(learner, args.images)


def show(result: dict[str, Any], console: Console) -> None:
    table = folding_table("image", "label", "score")
    for image in result["images"]:
        table.add_row(image["path"], image["label"], f"{image['score']:.1%}")
    console.print(table)


def exit_code(result: dict[str, Any]) -> int:
    """2 if an image could not be read; the others were answered."""
    return 2 if result["unread"] else 0


def answers(subject: onebit.Model | onebit.Learner, items: Sequence[str]) -> dict[str, Any]:
    """What a model, or a learner, says of images and of those in folders; what cannot be read is named on stderr.

    Raises:
        OnebitError: none of them can be read.
    """
    paths = [str(path) for item in items for path in (image_paths(Path(item)) if os.path.isdir(item) else [item])]
    if not paths:
        raise OnebitError(f"there is no image in {', '.join(items)}", hint=f"images end in {', '.join(SUFFIXES)}")
    console = Console(stderr=True)
    waiting = console.is_terminal and len(paths) >= 10
    told, unread = [], []
    for path in track(paths, "running", console=console, transient=True, disable=not waiting):
        try:
            told.append(_answer(subject, path))
        except OnebitError as problem:
            if len(paths) == 1:
                raise
            unread.append({"path": path, "error": problem.message})
            print(problem.message, file=sys.stderr)
    if not told:
        raise OnebitError(f"none of {len(paths)} images can be read", hint="the lines above say why")
    return {"images": told, "unread": unread}


def _answer(subject: onebit.Model | onebit.Learner, path: str) -> dict[str, Any]:
    prediction = subject.predict(path)
    return {
        "path": path,
        "label": prediction.label,
        "index": prediction.index,
        "score": prediction.score,
        "scores": [float(score) for score in prediction.scores],
    }
