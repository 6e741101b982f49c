"""The ``onebit`` command: one module a subcommand, imported only when it is called.

A command's module defines ``EXAMPLE`` (shown by ``--help``), ``configure(parser)`` (adds its arguments),
``run(args)`` (does the work and returns the object that ``--json`` prints) and ``show(result, console)`` (prints
the same for a person). Anything else than the result goes to stderr. Exit codes: 0 done, 2 the caller can mend it
(one line says how), 1 a fault of ours; a module that has more of them defines ``exit_code(result)``.
"""

import errno
import importlib
import json
import os
import re
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter
from rich.console import Console

from onebit.errors import OnebitError

COMMANDS = {
    "demo": "train, export, run and teach a small network, and print one table",
    "train": "train a network from a recipe",
    "evaluate": "measure a checkpoint or a packed model on a data set",
    "export": "pack a trained checkpoint into an .obn file",
    "compile": "turn an .obn file into a program for a microcontroller",
    "inspect": "list the layers of an .obn file: bits, bytes, and why one is not packed",
    "run": "classify images with a packed model",
    "bench": "measure the latency of a packed model",
    "cost": "count what training and running a recipe costs",
    "precision": "find the lowest precision at which a recipe's training makes progress",
    "data": "list, download and check data sets",
    "learn": "teach a packed model new classes on this device",
    "doctor": "say what this installation and this CPU can do",
}


class _Parser(ArgumentParser):
    """Errors are raised, never printed with a usage block: main() turns them into one line."""

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        raise ArgumentError(None, self._tidy(self._without_actions(" ".join(message.split())))) from ex

    def _without_actions(self, message: str) -> str:
        """jsonargparse puts the action before the names of its arguments."""
        actions = self._subcommands_action
        return message if actions is None else re.sub(rf"\b({'|'.join(actions.choices)})\.(?=\w)", "", message)

    def _tidy(self, message: str) -> str:
        """jsonargparse names a key of its parser and a Python type; a person typed an option."""
        key = re.match(r'Parser key "([\w.]+)": ', message)
        expected = re.search(r"Subtypes: \[(.*?)\] Errors:|Expected an? (.*?)\. Got", message)
        value = re.search(r" value: (.*)", message)
        if key is None or expected is None or value is None:
            return message
        option = next((action.option_strings[0] for action in self._actions if action.dest == key[1]), key[1])
        kind = re.sub(r", <class 'NoneType'>|<class '(\w+)'>|typing\.", r"\1", expected[1] or expected[2])
        return f"{option} must be {kind.replace(', list', ' or list')}, not {value[1]}"


class _Console(Console):
    """Shows names from files and users as they are; lines are long where no terminal limits them."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200
        super().__init__(width=width, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:  # rich would end the process with 1
        raise BrokenPipeError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if sys.stdout is None:  # closed by who started us, as some services do
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the process ends
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # --help
        return int(stop.code or 0)
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        _discard_output()
        return 0
    except BaseException as problem:
        return _fail(problem, words)


def build_parser(name: str) -> tuple[ArgumentParser, ModuleType]:
    """The parser and the module of one command."""
    module = importlib.import_module(f"onebit.cli.{name}")
    parser = new_parser(f"onebit {name}", COMMANDS[name], module.EXAMPLE)
    module.configure(parser)
    return parser, module


def new_parser(prog: str, description: str, example: str) -> ArgumentParser:
    """A parser for a command, or for an action of one."""
    parser = _Parser(
        prog=prog,
        description=f"{description[0].upper()}{description[1:]}.",
        epilog=f"example: {example}",
        formatter_class=DefaultHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")
    return parser


def _run(words: list[str]) -> int:
    name = words[0]
    if name in ("-h", "--help"):
        _print_commands()
        return 0
    if name == "--version":
        from onebit import __version__

        print(f"onebit {__version__}")
        return 0
    if name not in COMMANDS:
        raise OnebitError(f"there is no command '{name}'", hint=f"commands: {', '.join(COMMANDS)}")
    parser, module = build_parser(name)
    result = module.run(parser.parse_args(words[1:]))
    if "--json" in words:
        print(json.dumps(result))
    else:
        module.show(result, _Console())
    return module.exit_code(result) if hasattr(module, "exit_code") else 0


def _fail(problem: BaseException, words: list[str]) -> int:
    command = words[0]
    code, message, hint = _explain(problem, command)
    if os.environ.get("ONEBIT_TRACEBACK"):
        traceback.print_exception(problem)
    print(f"onebit {command}: {message}" + (f" ({hint})" if hint else ""), file=sys.stderr)
    try:
        if "--json" in words:
            print(json.dumps({"error": message, "hint": hint}))
        sys.stdout.flush()
    except OSError:  # the output was the problem
        _discard_output()
    return code


def _discard_output() -> None:
    """What is still in the buffer goes nowhere, so that Python's own flush at the end cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(problem: BaseException, command: str) -> tuple[int, str, str]:
    if isinstance(problem, OnebitError):
        return 2, problem.message, problem.hint
    if isinstance(problem, ArgumentError):
        return 2, str(problem.message), f"see onebit {command} --help"
    if isinstance(problem, KeyboardInterrupt):
        return 2, "interrupted", "nothing was half-written; run it again"
    if isinstance(problem, ModuleNotFoundError) and not str(problem.name).startswith("onebit"):
        return 2, f"this command needs the package {problem.name}", "pip install 'onebit[train]'"
    if isinstance(problem, OSError):
        where = problem.filename or ""
        text = f"{where}: {problem.strerror}" if where else str(problem)
        hint = "free some space and run it again" if problem.errno == errno.ENOSPC else ""
        return 2, text, hint
    text = " ".join(f"{type(problem).__name__}: {problem}".split())
    return 1, f"unexpected {text}", "this is a fault of onebit; ONEBIT_TRACEBACK=1 shows where"


def _print_commands() -> None:
    width = max(map(len, COMMANDS))
    print("usage: onebit COMMAND [--help]\n")
    print("\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()))
    print("\nexample: onebit demo")
