"""``onebit doctor``: what this installation and this CPU can do."""

import os
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

import onebit
from onebit import _engine
from onebit.errors import OnebitError
from onebit.tables import folding_table

EXAMPLE = "onebit doctor"
# What the engine's kernels use, or could.
_FEATURES = (
    "sse4_2", "popcnt", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vpopcntdq",
    "avx512_vnni", "avx512_bf16", "avx512_bitalg", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "sve", "sve2",
)  # fmt: skip


def configure(parser: ArgumentParser) -> None:
    pass


def run(args: Namespace) -> dict[str, Any]:
    return {
        "version": onebit.__version__,
        "isa": _isa(),
        "cpu_features": _cpu_features(),
        "threads": _threads(),
        "data": _data(),
    }


def show(result: dict[str, Any], console: Console) -> None:
    table = folding_table("", "")
    table.add_row("onebit", result["version"])
    table.add_row("instruction set", f"{result['isa']} (here: {', '.join(_engine.isas())}; ONEBIT_ISA forces one)")
    table.add_row("CPU features", ", ".join(result["cpu_features"]) or "unknown")
    table.add_row("threads", str(result["threads"]))
    data = result["data"] or "ONEBIT_DATA is not set"
    table.add_row("data sets", data if Path(data).is_dir() or not result["data"] else f"{data} (not there yet)")
    console.print(table)


def _isa() -> str:
    """The instruction set that a model would run on."""
    forced = os.environ.get("ONEBIT_ISA")
    if not forced:
        return _engine.isas()[0]
    if forced not in _engine.isas():
        raise OnebitError(
            f"ONEBIT_ISA is '{forced}', which this CPU or this build does not have",
            hint=f"it has: {', '.join(_engine.isas())}",
        )
    return forced


def _cpu_features() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return []
    words = {word for line in text.splitlines() if line.startswith(("flags", "Features")) for word in line.split()}
    return [feature for feature in _FEATURES if feature in words]


def _threads() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _data() -> str | None:
    """The folder of the data sets; without the training side, what the environment says."""
    try:
        from onebit.data.dataset import default_root
    except ModuleNotFoundError:
        return os.environ.get("ONEBIT_DATA")
    return str(default_root())
