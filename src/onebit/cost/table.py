"""A ledger as tables for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Column, Table

from onebit.tables import folding_table

_PRODUCTS = ("forward", "error", "weight")


def tables(counts: Mapping[str, Any]) -> Iterator[RenderableType]:
    """The layers, the totals and the memory of a ledger, and the published figures beside ours.

    Args:
        counts: what :meth:`onebit.cost.Ledger.to_dict` gives.
    """
    yield _layers(counts)
    yield _totals(counts)
    yield _memory(counts)
    for statement in counts["published"]:
        verdict = "reproduced" if statement["reproduced"] else f"not reproduced, {statement['explanation']}"
        yield (
            f"published: {statement['figure']} {statement['what']} ({statement['source']}); "
            f"here {statement['ours']:.2f}: {verdict}"
        )
    for name in counts["uncounted"]:
        yield f"not counted: {name}"


def _layers(counts: Mapping[str, Any]) -> Table:
    table = Table(
        Column("layer", overflow="fold"), "output", title="multiply-accumulates, by operand widths", box=box.SIMPLE
    )
    for heading in (*_PRODUCTS, "saved"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in counts["layers"]:
        shape = "×".join(map(str, layer["output_shape"]))
        cells = [_by_width(layer[product]) for product in _PRODUCTS]
        table.add_row(layer["name"], shape, *cells, f"{layer['saved_percent']:.2f} %")
    return table


def _totals(counts: Mapping[str, Any]) -> Table:
    table = folding_table("", "", title="in all", box=box.SIMPLE)
    formula, inference = counts["paper_formula_saved_percent"], counts["inference"]
    table.add_row("training operations saved, as they run", f"{counts['saved_percent']:.2f} %")
    table.add_row("the same at the method's widths", f"{counts['charged_saved_percent']:.2f} %")
    table.add_row("of the quantised layers alone, not weighted", "-" if formula is None else f"{formula:.2f} %")
    table.add_row("inference: BOPs, FLOPs, OPs", ", ".join(_count(inference[key]) for key in ("bops", "flops", "ops")))
    for kind, energy in counts["energy_joule"].items():
        table.add_row(f"arithmetic: {kind.replace('_', ' ')}", f"{1e6 * energy:,.2f} µJ")
    return table


def _memory(counts: Mapping[str, Any]) -> Table:
    title = f"memory of training, batch of {counts['batch']}, MiB"
    table = folding_table("", "as PyTorch holds it", "operands at their widths", title=title, box=box.SIMPLE)
    columns = counts["memory_bytes"], counts["counted_memory_bytes"]
    for kind in columns[0]:
        table.add_row(kind, *(f"{column[kind] / 2**20:,.2f}" for column in columns))
    table.add_row("in all", *(f"{sum(column.values()) / 2**20:,.2f}" for column in columns))
    return table


def _by_width(counts: dict[str, float]) -> str:
    return "\n".join(f"{_count(macs)} {width.replace('x', '×')}" for width, macs in counts.items() if macs) or "-"


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
