"""``onebit learn``: makes, teaches and keeps a learner, a packed model that goes on learning on this device."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonargparse import SUPPRESS, ArgumentParser, Namespace
from rich.console import Console
from rich.progress import Progress

import onebit
from onebit.cli import new_parser
from onebit.cli import run as running
from onebit.errors import OnebitError
from onebit.runtime.inbox import LabelledImages, read_images, teach_arrivals
from onebit.runtime.learner import Gate
from onebit.runtime.learner.experience import as_known
from onebit.runtime.learner.learner import BATCH, EPOCHS, LEARNING_RATE, REPLAY, STEPS, TAIL_RATE
from onebit.tables import folding_table

EXAMPLE = "onebit learn new store digits.obn && onebit learn teach store images/ && onebit learn show store"
_IMAGES = (
    "a folder with a subfolder of images per class, a list (.csv, .tsv, .txt) with a line path,class per image, "
    "or images and --name"
)
_TRAINING = ("steps", "batch", "learning_rate", "epochs", "tail_rate", "replayed")


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subcommands(dest="action", metavar="ACTION")

    def action(name: str, help: str, example: str) -> ArgumentParser:
        added = new_parser(f"onebit learn {name}", help, f"onebit learn {name} store {example}".rstrip())
        added.add_argument("store", help="the learner's folder")
        actions.add_subcommand(name, added, help=help)
        return added

    new = action("new", "make a learner from a packed model", "digits.obn")
    new.add_argument("model", help="the packed model")
    new.add_argument("--max-classes", type=int, default=64, help="maximum number of classes; fixes the file's size")
    new.add_argument("--history", type=int, default=8, help="commits that rollback can go back")
    new.add_argument("--replay", type=int, default=REPLAY, help="samples that a tail keeps; 0: the head alone learns")
    new.add_argument("--seed", type=int, default=0, help="seed of the order of samples and of rounding")

    teach = action("teach", "learn from labelled images, once", "images/ --hold-out 0.2 --gate before")
    teach.add_argument("images", nargs="*", default=[], help=_IMAGES)
    teach.add_argument("--experience", help="an id, counted once (default: made from the images themselves)")
    teach.add_argument("--hold-out", type=float, help="share of the images that are held out in place of --test")
    _add_experience(teach)
    teach.add_argument("--watch", help=SUPPRESS)  # as the action does
    _add_watch(teach, shown=False)

    watch = action("watch", "learn from the images that arrive in a folder", "inbox/ --until-idle 60")
    watch.add_argument("folder", help="where images arrive, in a subfolder per class")
    _add_experience(watch)
    _add_watch(watch, shown=True)

    ask = action("ask", "name what is on images", "photo.png")
    ask.add_argument("images", nargs="+", help="image files, and folders of them")
    action("show", "list the classes", "")
    forget = action("forget", "wipe a class, and every earlier commit", "seven")
    forget.add_argument("name", help="name of the class")
    forget.add_argument("--yes", action="store_true", help="do not ask")
    rename = action("rename", "give a class another name", "7 seven")
    rename.add_argument("name", help="name of the class")
    rename.add_argument("new_name", help="its new name")
    rollback = action("rollback", "go back to an earlier commit", "--commits 2")
    rollback.add_argument("--commits", type=int, default=1, help="how many commits to go back")
    action("check", "read every byte of the store again", "")


def _add_experience(parser: ArgumentParser) -> None:
    parser.add_argument("--name", help="the class of all images")
    parser.add_argument("--test", help="held-out images, a folder or a list; accuracy on them is reported")
    parser.add_argument(
        "--gate",
        help="keep an experience only if this share of the held-out images is classified right, or 'before': as many "
        "as before it",
    )
    parser.add_argument("--steps", type=int, default=STEPS, help="mini-batches of SGD, where the head alone learns")
    parser.add_argument("--batch", type=int, default=BATCH, help="images per mini-batch")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE, help="learning rate of SGD")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="epochs over the images, where a tail learns")
    parser.add_argument(
        "--replayed", type=int, help="replayed samples per mini-batch, where a tail learns (default: 36 of 50)"
    )
    parser.add_argument("--tail-rate", type=float, default=TAIL_RATE, help="learning rate of SGD on the tail")


def _add_watch(parser: ArgumentParser, *, shown: bool) -> None:
    def add(option: str, help: str, default: float | None = None) -> None:
        parser.add_argument(option, type=float, default=default, metavar="SECONDS", help=help if shown else SUPPRESS)

    add("--rest", "treat a file as complete after SECONDS without changes", 1.0)
    add("--for", "end after SECONDS (default: at Ctrl-C)")
    add("--until-idle", "end when nothing came for SECONDS")


def run(args: Namespace) -> dict[str, Any]:
    return _RUN[args.action](args[args.action])


def exit_code(result: dict[str, Any]) -> int:
    """3 if the gate refused the experience; 2 if an image that was asked about could not be read."""
    return 3 if result.get("refused") is True else 2 if result.get("unread") else 0


def show(result: dict[str, Any], console: Console) -> None:
    if "images" in result:
        running.show(result, console)
        return
    table = folding_table("class", "samples")
    for row in result["classes"]:
        table.add_row(row["name"], f"{row['samples']:,}")
    console.print(table)
    if "lessons" in result:
        console.print(
            f"{result['lessons']} experiences learned from {result['samples']} images, {result['refused']} refused by "
            "the gate"
        )
    elif "counted" in result:
        for line in _experience_lines(result):
            console.print(line)
    if "unfinished" in result:
        broken = f"; {result['unfinished']} unfinished by a power cut (harmless)" if result["unfinished"] else ""
        console.print(f"every byte checked{broken}")
    console.print(
        f"{result['bytes']:,} bytes, {result['commits']} commits to go back to, {result['experiences']} experiences, "
        f"{result['replay']} samples kept to learn again, backbone {result['backbone'][:12]}"
    )


def _experience_lines(result: dict[str, Any]) -> list[str]:
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


def _new(args: Namespace) -> dict[str, Any]:
    options = {name: args[name] for name in ("max_classes", "history", "replay", "seed")}
    with onebit.Learner.create(args.store, onebit.load(args.model), **options) as learner:
        return _state(learner)


def _teach(args: Namespace) -> dict[str, Any]:
    _check_teach(args)
    if args.watch:
        args.folder = args.watch
        return _watch(args)
    images = read_images(args.images, args.name)
    test = None
    if args.hold_out is not None:
        images, test = images.split(args.hold_out)
    options = _experience_options(args, test)
    console = Console(stderr=True)
    with (
        onebit.Learner.open(args.store) as learner,
        Progress(console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("looking at the images")
        taught = learner.teach(
            images.paths,
            images.names,
            args.experience,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            **options,
        )
        return _state(learner) | asdict(taught)


def _watch(args: Namespace) -> dict[str, Any]:
    """Teaches what arrives and says so on stderr; counts it, and names what is new."""
    console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)
    totals: dict[str, Any] = {"lessons": 0, "samples": 0, "refused": 0, "new": []}

    def skipped(path: Path, reason: str) -> None:
        console.print(f"{path}: {reason}; passed over until it changes")

    options = _experience_options(args, None) | {"seconds": args["for"], "until_idle": args.until_idle}
    with onebit.Learner.open(args.store) as learner:
        experiences = teach_arrivals(learner, args.folder, args.name, rest=args.rest, skipped=skipped, **options)
        console.print(f"watching {args.folder}; Ctrl-C ends")
        try:
            for taught in experiences:
                if taught.refused:
                    totals["refused"] += 1
                elif taught.counted:
                    totals["lessons"] += 1
                    totals["samples"] += taught.samples
                    totals["new"] += taught.new
                what = "refused by the gate" if taught.refused else "learned" if taught.counted else "counted before"
                new = f", new: {', '.join(taught.new)}" if taught.counted and taught.new else ""
                console.print(f"{taught.samples} images {what}{new}, {sum(taught.milliseconds.values()):.0f} ms")
        except KeyboardInterrupt:
            pass
        return _state(learner) | totals


def _ask(args: Namespace) -> dict[str, Any]:
    with onebit.Learner.open(args.store) as learner:
        return running.answers(learner, args.images)


def _show(args: Namespace) -> dict[str, Any]:
    with onebit.Learner.open(args.store) as learner:
        return _state(learner)


def _forget(args: Namespace) -> dict[str, Any]:
    with onebit.Learner.open(args.store) as learner:
        samples = learner.classes.get(*as_known([args.name], learner.classes))
        if samples is not None and not args.yes:
            commits = learner.check()["commits"]
            _confirm(
                f"forgetting {args.name} loses what {samples:,} images taught, and the {commits} commits to go back to"
            )
        learner.forget(args.name)
        return _state(learner)


def _confirm(loss: str) -> None:
    if not sys.stdin.isatty():
        raise OnebitError(loss, hint="add --yes if that is meant")
    print(f"{loss}; go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise OnebitError("nothing was forgotten")


def _rename(args: Namespace) -> dict[str, Any]:
    with onebit.Learner.open(args.store) as learner:
        learner.rename(args.name, args.new_name)
        return _state(learner)


def _rollback(args: Namespace) -> dict[str, Any]:
    with onebit.Learner.open(args.store) as learner:
        learner.rollback(args.commits)
        return _state(learner)


def _check(args: Namespace) -> dict[str, Any]:
    with onebit.Learner.open(args.store) as learner:
        report = learner.check()
        if report["damaged"]:
            raise OnebitError(
                f"{args.store}: {report['damaged']} earlier commits are damaged; the newest is whole",
                hint="the medium changed bytes: copy the folder to another one",
            )
        return _state(learner) | {"unfinished": report["unfinished"]}


_RUN = {
    "new": _new,
    "teach": _teach,
    "watch": _watch,
    "ask": _ask,
    "show": _show,
    "forget": _forget,
    "rename": _rename,
    "rollback": _rollback,
    "check": _check,
}


def _check_teach(args: Namespace) -> None:
    """Checks which words and options go together, which the parser cannot."""
    if args.watch and args.images:
        raise OnebitError("--watch FOLDER takes no other images", hint="see onebit learn watch --help")
    if not args.watch and not args.images:
        raise OnebitError(f"teach needs {_IMAGES}", hint="see onebit learn teach --help")
    if args.watch and (args.experience is not None or args.hold_out is not None):
        raise OnebitError("--watch makes its experiences itself and holds nothing out", hint="use --test for the gate")
    if not args.watch and (args["for"] is not None or args.until_idle is not None):
        raise OnebitError("--for and --until-idle say when watching ends", hint="see onebit learn watch --help")
    if args.test is not None and args.hold_out is not None:
        raise OnebitError("--test and --hold-out exclude each other", hint="give one of them")


def _experience_options(args: Namespace, test: LabelledImages | None) -> dict[str, Any]:
    """Those of :meth:`onebit.Learner.teach`. Held-out images without --gate let every experience pass."""
    options = {name: args[name] for name in _TRAINING}
    test = test if args.test is None else read_images([args.test])
    if test is None:
        if args.gate is not None:
            raise OnebitError("--gate needs held-out images", hint="add --test FOLDER, or --hold-out 0.2 to teach")
        return options
    try:
        minimum = 0.0 if args.gate is None else None if args.gate == "before" else float(args.gate)
    except ValueError:
        raise OnebitError(f"--gate is {args.gate}", hint="give a share from 0 to 1, or 'before'") from None
    return options | {"gate": Gate(test.paths, test.names, minimum)}


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
