"""``onebit compile``: a packed model to a program for a device without an operating system. numpy only."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from onebit.errors import OnebitError
from onebit.files import atomic_file, check_target
from onebit.runtime import Program, load
from onebit.runtime.program import c_identifier
from onebit.tables import folding_table

EXAMPLE = "onebit compile digits.obn -o digits.h"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=str, help="an .obn file")
    parser.add_argument(
        "-o", "--output", type=str, required=True, metavar="FILE", help="a C header (.h) or the program itself (.obp)"
    )
    parser.add_argument("--outputs", type=str, nargs="+", default=[], help="outputs that it is to have; default: all")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def run(args: Namespace) -> dict[str, Any]:
    output = Path(args.output)
    if output.suffix not in (".h", ".obp"):
        raise OnebitError(f"{output} ends neither in .h nor in .obp", hint=".h is a C header, .obp the program itself")
    check_target(output, force=args.force)
    program = Program(load(args.model), args.outputs)
    with atomic_file(output, force=args.force) as temporary:
        if output.suffix == ".h":
            temporary.write_text(program.c_header(output.stem), encoding="ascii")
        else:
            temporary.write_bytes(program.data)
    return {
        "path": str(output),
        "bytes": len(program.data),
        "arena_bytes": program.arena_bytes,
        "outputs": {name: list(shape) for name, shape in program.outputs.items()},
    }


def show(result: dict[str, Any], console: Console) -> None:
    table = folding_table("", "", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    path = Path(result["path"])
    table.add_row("written", f"{path}")
    table.add_row("flash", f"{result['bytes']:,} bytes, beside the code")
    table.add_row("arena", f"{result['arena_bytes']:,} bytes of RAM, beside the stack")
    for i, (name, shape) in enumerate(result["outputs"].items()):
        table.add_row(f"output {i}", f"{name} {tuple(shape)}")
    if path.suffix == ".h":
        name = c_identifier(path.stem)
        table.add_row("in C", f"{name}_program, {name.upper()}_ARENA_BYTES")
    console.print(table)
