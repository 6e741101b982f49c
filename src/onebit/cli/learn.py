"""``onebit learn``: makes, teaches and keeps a learner, a packed model that goes on learning on this device."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.progress import Progress

import onebit
from onebit.errors import OnebitError
from onebit.runtime.image import SUFFIXES
from onebit.runtime.learner import BATCH, LEARNING_RATE, STEPS
from onebit.tables import folding_table

EXAMPLE = "onebit learn new store digits.obn && onebit learn teach store pictures/ --experience monday"
_ACTIONS = ("new", "teach", "show", "forget", "rollback", "check")
_WORDS = {
    "new": "the packed model",
    "teach": "a folder with a subfolder of images a class, or images and --name",
    "forget": "the name of a class",
}


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=_ACTIONS, help="what to do")
    parser.add_argument("store", help="the learner's folder")
    what = "; ".join(f"{action}: {words}" for action, words in _WORDS.items())
    parser.add_argument("what", nargs="*", default=[], help=what)
    parser.add_argument("--name", help="teach: the class of all images")
    parser.add_argument("--experience", help="teach: an id, counted once (default: made from the images themselves)")
    parser.add_argument("--steps", type=int, default=STEPS, help="teach: mini-batches of SGD")
    parser.add_argument("--batch", type=int, default=BATCH, help="teach: images a mini-batch")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE, help="teach: of SGD")
    parser.add_argument("--commits", type=int, default=1, help="rollback: how many commits to go back")
    parser.add_argument("--max-classes", type=int, default=64, help="new: most classes; fixes the file's size")
    parser.add_argument("--history", type=int, default=8, help="new: commits that rollback can go back")
    parser.add_argument("--seed", type=int, default=0, help="new: of the order of samples and of rounding")


def run(args: Namespace) -> dict[str, Any]:
    wanted = 0 if args.action not in _WORDS else 1
    if len(args.what) < wanted or (len(args.what) > wanted and args.action != "teach"):
        named = f"needs {_WORDS[args.action]}" if wanted else "takes nothing but the store"
        raise OnebitError(f"{args.action} {named}", hint="see onebit learn --help")
    if args.action == "new":
        model = onebit.load(args.what[0])
        options = {"max_classes": args.max_classes, "history": args.history, "seed": args.seed}
        with onebit.Learner.create(args.store, model, **options) as learner:
            return _state(learner)
    if args.action == "teach":
        images, names = _examples(args.what, args.name)
    with onebit.Learner.open(args.store) as learner:
        extra: dict[str, Any] = {}
        if args.action == "teach":
            extra = _teach(learner, images, names, args)
        elif args.action == "forget":
            learner.forget(args.what[0])
        elif args.action == "rollback":
            learner.rollback(args.commits)
        elif args.action == "check":
            report = learner.check()
            if report["damaged"]:
                raise OnebitError(
                    f"{args.store}: {report['damaged']} earlier commits are damaged; the newest is whole",
                    hint="the medium changed bytes: copy the folder to another one",
                )
            extra = {"unfinished": report["unfinished"]}
        return _state(learner) | extra


def show(result: dict[str, Any], console: Console) -> None:
    table = folding_table("class", "samples")
    for row in result["classes"]:
        table.add_row(row["name"], f"{row['samples']:,}")
    console.print(table)
    if "counted" in result:
        learned = f"learned from {result['samples']} images"
        console.print(learned if result["counted"] else "counted before: nothing was learned again")
    if "unfinished" in result:
        broken = f"; {result['unfinished']} unfinished by a power cut (harmless)" if result["unfinished"] else ""
        console.print(f"every byte checked{broken}")
    console.print(
        f"{result['bytes']:,} bytes, {result['commits']} commits to go back to, {result['experiences']} experiences, "
        f"backbone {result['backbone'][:12]}"
    )


def _state(learner: onebit.Learner) -> dict[str, Any]:
    report = learner.check()
    return {
        "classes": [{"name": name, "samples": samples} for name, samples in learner.classes.items()],
        "commits": report["commits"],
        "bytes": report["bytes"],
        "experiences": report["experiences"],
        "backbone": learner.model.sha256,
        "replay": 0,
    }


def _teach(learner: onebit.Learner, images: list[Path], names: list[str], args: Namespace) -> dict[str, Any]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("looking at the images", total=len(images))
        taught = learner.teach(
            images,
            names,
            args.experience,
            steps=args.steps,
            batch=args.batch,
            learning_rate=args.learning_rate,
            progress=lambda done, _: bar.update(task, completed=done),
        )
    return {
        "experience": taught.experience,
        "counted": taught.counted,
        "new": list(taught.new),
        "samples": taught.samples,
    }


def _examples(items: list[str], name: str | None) -> tuple[list[Path], list[str]]:
    """The images to teach and their names: a folder of class folders, or files and folders of one class."""
    if name is not None:
        images = [image for item in items for image in (_pictures(Path(item)) if Path(item).is_dir() else [Path(item)])]
        return images, [name] * len(images)
    folder = Path(items[0])
    if len(items) > 1 or not folder.is_dir():
        raise OnebitError(
            f"{items[0]} is not a folder of class folders" if len(items) == 1 else "several items have no class",
            hint="name a folder with a subfolder a class, or say the class with --name",
        )
    kinds = sorted(kind for kind in folder.iterdir() if kind.is_dir() and not kind.name.startswith("."))
    pairs = [(image, kind.name) for kind in kinds for image in _pictures(kind)]
    if not pairs:
        raise OnebitError(f"{folder} has no subfolder with images", hint="one subfolder a class, or images and --name")
    return [image for image, _ in pairs], [kind for _, kind in pairs]


def _pictures(folder: Path) -> list[Path]:
    """The images in a folder and the folders below it.

    Raises:
        OnebitError: there is none, so a class would not be learned.
    """
    found = [path for path in folder.glob("**/*") if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not found:
        raise OnebitError(f"{folder} holds no image", hint=f"images end in {', '.join(SUFFIXES)}")
    return sorted(found)
