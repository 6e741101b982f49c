"""``onebit data``: lists, downloads and checks data sets."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from onebit import data
from onebit.data.registry import find
from onebit.errors import OnebitError
from onebit.tables import folding_table

EXAMPLE = "onebit data get cifar10 && onebit data check cifar10"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "get", "check"], help="what to do")
    parser.add_argument("name", nargs="?", help="a data set; for check also a folder of images by class")
    parser.add_argument(
        "--root", type=str, help="folder of the data sets (default: $ONEBIT_DATA, else the user's cache)"
    )
    parser.add_argument("--url", type=str, help="get: take the files from here instead of the official address")


def run(args: Namespace) -> dict[str, Any]:
    if args.action == "list":
        return {"data_sets": [_row(name, args.root) for name in ([args.name] if args.name else data.names())]}
    if args.action == "get":
        if args.name is None:
            raise OnebitError("data get: which data set?", hint="onebit data list names them")
        data.get(args.name, args.root, args.url)
        return {"data_sets": [_row(args.name, args.root)]}
    if args.name is not None:
        return {"data_sets": [_check(args.name, args.root)]}
    rows = [_row(name, args.root) for name in data.names()]
    return {"data_sets": [_check(row["name"], args.root) for row in rows if row["state"] == "ready"]}


def show(result: dict[str, Any], console: Console) -> None:
    table = folding_table("data set", "training", "test", "classes", "state", "where")
    for row in result["data_sets"]:
        numbers = (row["train"], row["test"], len(row["classes"]) or None)
        table.add_row(
            row["name"], *("-" if n is None else f"{n:,}" for n in numbers), row["state"], row["folder"] or "-"
        )
    console.print(table)
    for row in result["data_sets"]:
        if row["note"]:
            console.print(f"{row['name']}: {row['note']}")


def _row(name: str, root: str | None) -> dict[str, Any]:
    """The facts about a data set that need none of its images."""
    kind = find(name)
    counts = kind.counts or (None, None)
    row: dict[str, Any] = {
        "name": name,
        "state": "ready",
        "folder": None,
        "train": counts[0],
        "test": counts[1],
        "classes": [],
        "note": "",
    }
    if kind is data.Folder:
        return row | {"state": "yours", "note": "any folder of images by class: onebit data check FOLDER"}
    found = data.create(name, root=root)
    try:
        if kind.folders:
            row["folder"] = str(found.folder())
        return row | {"classes": list(found.classes), "note": found.note}
    except OnebitError as problem:
        return row | {"state": "missing", "note": problem.hint.split(";")[0]}


def _check(name: str, root: str | None) -> dict[str, Any]:
    if name not in data.names() and Path(name).is_dir():
        images = data.Folder(name, size=32)
        return {"name": "folder", "state": "checked", "folder": name, "note": ""} | images.check()
    if find(name) is data.Folder:
        raise OnebitError("data check: which folder?", hint="onebit data check FOLDER")
    found = data.create(name, root=root)
    checked = found.check()
    return _row(name, root) | checked | {"state": "checked"}
