"""Tables for people, of what packed files hold, and what is printed as one."""

import io
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text


class Printable:
    """What rich can render, such as by ``__rich_console__``, is printed as rich shows it, and so in a notebook.

    Example:
        >>> class Answer(Printable):
        ...     def __rich_console__(self, console, options):
        ...         yield "42"
        >>> print(Answer())
        42
    """

    def __str__(self) -> str:
        text = io.StringIO()
        width = shutil.get_terminal_size((120, 24)).columns
        Console(file=text, width=width, markup=False, emoji=False, highlight=False).print(self)
        return text.getvalue().rstrip("\n")

    def _repr_html_(self) -> str:
        console = Console(file=io.StringIO(), width=120, record=True, markup=False, emoji=False, highlight=False)
        console.print(self)
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def folding_table(*headings: str, **options: Any) -> Table:
    """A table that folds its cells where the terminal is narrow, so that no name and no number is cut.

    Args:
        headings: one per column; none is shown if all are empty.
        options: those of ``rich.table.Table``.

    Example:
        >>> [column.overflow for column in folding_table("layer", "ms").columns]
        ['fold', 'fold']
    """
    columns = (Column(heading, overflow="fold") for heading in headings)
    return Table(*columns, **{"show_header": any(headings), **options})


def layer_table(title: str, layers: Iterable[Mapping[str, Any]]) -> Table:
    """A row per layer of an ``.obn`` file; bits are those of weights and input.

    Args:
        title: above the table.
        layers: mappings with ``name kind weight_bits activation_bits bytes packed why``, as in the export's report.

    Example:
        >>> row = dict(name="c", kind="conv_float", weight_bits=32, activation_bits=32, bytes=40, packed=False, why="")
        >>> layer_table("m.obn", [row]).row_count
        1
    """
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("layer", "kind", "bits", "bytes", "packed"):
        table.add_column(heading, justify="right" if heading in ("bits", "bytes") else "left", overflow="fold")
    for layer in layers:
        bits, why = layer["weight_bits"], layer["why"]
        cells = (
            layer["name"],
            layer["kind"],
            f"{bits} × {layer['activation_bits']}" if bits else "",
            f"{layer['bytes']:,}" if layer["bytes"] else "",
            f"{'yes' if layer['packed'] else 'no'}: {why}" if bits else why,
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table
