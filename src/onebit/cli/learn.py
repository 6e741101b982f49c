"""``onebit learn``: makes, teaches and keeps a learner, a packed model that goes on learning on this device."""

from dataclasses import asdict
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console
from rich.progress import Progress

import onebit
from onebit.cli.watching import teach_what_arrives
from onebit.errors import OnebitError
from onebit.runtime.gate import Gate
from onebit.runtime.learner import BATCH, EPOCHS, LEARNING_RATE, REPLAY, STEPS, TAIL_RATE
from onebit.runtime.lesson import Taught
from onebit.runtime.pictures import Pictures, read_pictures
from onebit.tables import folding_table

EXAMPLE = (
    "onebit learn new store digits.obn && onebit learn teach store pictures/ --hold-out 0.2 --gate before; "
    "onebit learn teach store --watch inbox/ --until-idle 60; onebit learn rename store 7 seven"
)
_ACTIONS = ("new", "teach", "show", "forget", "rename", "rollback", "check")
_WORDS = {
    "new": "the packed model",
    "teach": "a folder with a subfolder of images a class, a list (.csv, .tsv, .txt) with a line path,class an image, "
    "or images and --name",
    "forget": "the name of a class",
    "rename": "the name of a class and its new name",
}
_COUNTS = {"new": 1, "teach": 1, "forget": 1, "rename": 2}


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=_ACTIONS, help="what to do")
    parser.add_argument("store", help="the learner's folder")
    what = "; ".join(f"{action}: {words}" for action, words in _WORDS.items())
    parser.add_argument("what", nargs="*", default=[], help=what)
    parser.add_argument("--name", help="teach: the class of all images")
    parser.add_argument("--experience", help="teach: an id, counted once (default: made from the images themselves)")
    parser.add_argument("--test", help="teach: held-out images, a folder or a list; accuracy on them is reported")
    parser.add_argument(
        "--hold-out", type=float, help="teach: share of the images that are held out in place of --test"
    )
    parser.add_argument(
        "--gate",
        help="teach: keep the lesson only if this share of the held-out images is answered right, or 'before': as many "
        "as before it",
    )
    parser.add_argument(
        "--watch", metavar="FOLDER", help="teach: what arrives in this folder, with a subfolder a class"
    )
    parser.add_argument("--rest", type=float, default=1.0, help="watch: a file is whole when it rested for SECONDS")
    parser.add_argument("--for", type=float, metavar="SECONDS", help="watch: then end (default: at Ctrl-C)")
    parser.add_argument("--until-idle", type=float, metavar="SECONDS", help="watch: end when nothing came for so long")
    parser.add_argument(
        "--steps", type=int, default=STEPS, help="teach: mini-batches of SGD, where the head alone learns"
    )
    parser.add_argument("--batch", type=int, default=BATCH, help="teach: images a mini-batch")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE, help="teach: of SGD")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="teach: over the images, where a tail learns")
    parser.add_argument(
        "--replayed", type=int, help="teach: samples of a mini-batch that are kept ones, for a tail (default: 36 of 50)"
    )
    parser.add_argument("--tail-rate", type=float, default=TAIL_RATE, help="teach: of SGD on the tail")
    parser.add_argument("--commits", type=int, default=1, help="rollback: how many commits to go back")
    parser.add_argument("--max-classes", type=int, default=64, help="new: most classes; fixes the file's size")
    parser.add_argument("--history", type=int, default=8, help="new: commits that rollback can go back")
    parser.add_argument(
        "--replay", type=int, default=REPLAY, help="new: samples that a tail keeps; 0: the head alone learns"
    )
    parser.add_argument("--seed", type=int, default=0, help="new: of the order of samples and of rounding")


def run(args: Namespace) -> dict[str, Any]:
    _check(args)
    if args.action == "new":
        model = onebit.load(args.what[0])
        options = {name: args[name] for name in ("max_classes", "history", "replay", "seed")}
        with onebit.Learner.create(args.store, model, **options) as learner:
            return _state(learner)
    if args.action == "teach":
        pictures = None if args.watch else read_pictures(args.what, args.name)
        pictures, gate = _held_out(pictures, args)
    with onebit.Learner.open(args.store) as learner:
        extra: dict[str, Any] = {}
        if args.action == "teach":
            names = ("steps", "batch", "learning_rate", "epochs", "tail_rate", "replayed")
            options = {name: args[name] for name in names}
            options["gate"] = gate
            if pictures is None:
                extra = teach_what_arrives(learner, args, options)
            else:
                extra = asdict(_teach(learner, pictures, args.experience, options))
        elif args.action == "forget":
            learner.forget(args.what[0])
        elif args.action == "rename":
            learner.rename(*args.what)
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
    if "lessons" in result:
        console.print(
            f"{result['lessons']} lessons learned from {result['samples']} images, {result['refused']} refused by the "
            "gate"
        )
    elif "counted" in result:
        for line in _lesson_lines(result):
            console.print(line)
    if "unfinished" in result:
        broken = f"; {result['unfinished']} unfinished by a power cut (harmless)" if result["unfinished"] else ""
        console.print(f"every byte checked{broken}")
    console.print(
        f"{result['bytes']:,} bytes, {result['commits']} commits to go back to, {result['experiences']} experiences, "
        f"{result['replay']} samples kept to learn again, backbone {result['backbone'][:12]}"
    )


def _lesson_lines(result: dict[str, Any]) -> list[str]:
    if result["after"] is not None:
        shares = [
            f"{what} {100 * before:.1f} -> {100 * result['after'][part]:.1f} %"
            for part, what in (
                ("all", "held-out images right:"),
                ("old", "of classes known before"),
                ("new", "of new ones"),
            )
            if (before := result["before"][part]) is not None
        ]
        lines = [", ".join(shares)]
    else:
        lines = []
    if result["refused"]:
        return [*lines, "refused by the gate: nothing was changed"]
    if not result["counted"]:
        return [*lines, "counted before: nothing was learned again"]
    spent, operations = result["milliseconds"], result["operations"]
    return [
        *lines,
        f"learned from {result['samples']} images: features {spent['features']:.0f} ms "
        f"({operations['features'] / 1e6:,.1f} million multiply-accumulates), update {spent['update']:.1f} ms "
        f"({operations['update'] / 1e6:,.1f} million), commit {spent['commit']:.1f} ms",
    ]


def _check(args: Namespace) -> None:
    """What the parser cannot say: which words and options go together."""
    wanted = 0 if args.action == "teach" and args.watch else _COUNTS.get(args.action, 0)
    if len(args.what) < wanted or (len(args.what) > wanted and (args.action != "teach" or args.watch)):
        named = f"needs {_WORDS[args.action]}" if wanted else "takes nothing but the store"
        raise OnebitError(f"{args.action} {named}", hint="see onebit learn --help")
    if args.watch and (args.experience is not None or args.hold_out is not None):
        raise OnebitError("--watch makes its experiences itself and holds nothing out", hint="use --test for the gate")
    if not args.watch and (args["for"] is not None or args.until_idle is not None):
        raise OnebitError("--for and --until-idle say when --watch ends", hint="add --watch FOLDER")
    if not args.rest >= 0:
        raise OnebitError(f"--rest is {args.rest} seconds", hint="give 0 or more")
    if args.test is not None and args.hold_out is not None:
        raise OnebitError("--test and --hold-out are two ways to say the same", hint="give one of them")
    if args.gate is not None and args.test is None and args.hold_out is None:
        raise OnebitError("--gate needs held-out images", hint="add --test FOLDER or --hold-out 0.2")


def _held_out(pictures: Pictures | None, args: Namespace) -> tuple[Pictures | None, Gate | None]:
    """What is left to teach, and the gate. Held-out images without --gate let every lesson pass."""
    if args.test is not None:
        test = read_pictures([args.test])
    elif pictures is not None and args.hold_out is not None:
        pictures, test = pictures.split(args.hold_out)
    else:
        return pictures, None
    try:
        least = 0.0 if args.gate is None else None if args.gate == "before" else float(args.gate)
    except ValueError:
        raise OnebitError(f"--gate is {args.gate}", hint="give a share from 0 to 1, or 'before'") from None
    return pictures, Gate(test.paths, test.names, least)


def _state(learner: onebit.Learner) -> dict[str, Any]:
    report = learner.check()
    return {
        "classes": [{"name": name, "samples": samples} for name, samples in learner.classes.items()],
        "commits": report["commits"],
        "bytes": report["bytes"],
        "experiences": report["experiences"],
        "backbone": learner.model.sha256,
        "replay": learner.replay[0],
    }


def _teach(learner: onebit.Learner, pictures: Pictures, experience: str | None, options: dict[str, Any]) -> Taught:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("looking at the images")
        return learner.teach(
            pictures.paths,
            pictures.names,
            experience,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            **options,
        )
