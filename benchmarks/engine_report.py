"""The engine's part of the results: beside its peers, and how its cost grows."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.ticker import NullLocator
from tables import markdown, source

Row = dict[str, Any]
OURS, NETWORK = "onebit", "Bi-Real-Net-18"
KEYS = ("engine", "network", "numbers", "isa")
SWEEPS = {
    "pixels": "pixels of the image, Bi-Real-Net-18",
    "channels": "channels, binary 3×3 convolution of 14×14 pixels",
    "batch": "images per batch, Bi-Real-Net-18",
    "threads": "threads, Bi-Real-Net-18",
}


def summary(record: dict[str, Any]) -> str:
    """The table of the README: ours on the best instruction set and on AVX2, and every peer."""
    rows = record["rows"]
    threads = sorted({row["threads"] for row in rows})
    ours = {count: _reference(rows, count) for count in threads}
    shown = (row for row in rows if row["engine"] != OURS or row["isa"] in (ours[threads[0]]["isa"], "avx2"))
    lines = []
    for same in _by_threads(shown):
        shares = [_share(ours[row["threads"]], row) for row in same]
        lines.append([*_name(same[0]), *(f"{row['ms']['median']:.2f}" for row in same), *shares])
    times = [f"ms, {_threads(count)}" for count in threads]
    ratios = [f"{OURS}'s time / its time, {_threads(count)}" for count in threads]
    best = ours[threads[0]]
    note = (
        f"One image of 224×224, batch 1, {record['rounds']} rounds in turns in one run; median. The last columns: the "
        f"time of {OURS} on {best['isa']} ({NETWORK}, {best['numbers']}) over that engine's, round by round: median "
        "(minimum to maximum). The networks are untrained, which changes no latency."
    )
    return (
        f"{markdown(['engine', 'limited to', 'network', 'numbers', *times, *ratios], lines)}\n\n{note} {source(record)}"
    )


def peers(record: dict[str, Any]) -> str:
    """All that was measured beside the peers."""
    rows = record["rows"]
    threads = sorted({row["threads"] for row in rows})
    lines = []
    for same in _by_threads(rows):
        first, last = same[0], same[-1]
        answers = f"{first['same_top1']} of {record['images']}, {first['difference']:.1g}"
        how = " / ".join(dict.fromkeys(row["how"] for row in same if row["how"]))
        faster = _spread(last["speed_up"]) if "speed_up" in last else ""
        file = f"{first['file_bytes'] / 1e6:.2f}"
        lines.append([*_name(first), *(_spread(row["ms"]) for row in same), faster, file, answers, how])
    head = ["engine", "limited to", "network", "numbers", *(f"ms, {_threads(count)}" for count in threads)]
    head += [f"{threads[-1]} threads faster, times", "file, MB", "same top-1; difference", "way"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    note = (
        f"Median of {record['rounds']} rounds (min to max). Same top-1, and the largest difference of an output as "
        "a share of the largest output, median over the images, are against the same network in PyTorch (Keras for "
        f"Larq's). {versions}. CPU features: {', '.join(record['cpu_features'])}. How it is measured, and what the "
        "peers cannot do: [Benchmarks](benchmarks.md)."
    )
    parts = [markdown(head, lines), f"{note} {source(record)}"]
    return "\n\n".join([*parts, *(_shares(rows, count) for count in threads)])


def growth(record: dict[str, Any]) -> str:
    """How latency grows, as a plot and in numbers."""
    lines = [
        [SWEEPS[row["sweep"]], f"{row['x']:,}", f"{row['operations'] / 1e9:.3f}", _spread(row["ms"], 3), f"{rate:.0f}"]
        for row in record["rows"]
        for rate in [row["operations"] / row["ms"]["median"] / 1e6]
    ]
    head = ["", "size", "10⁹ products", "ms", "10⁹ products per second"]
    note = (
        f"Medians of {record['rounds']} rounds (minimum to maximum), {record['isa']}; one thread but in the last sweep."
    )
    return f"![growth](images/engine_growth.png)\n\n{markdown(head, lines)}\n\n{note} {source(record)}"


def draw_growth(record: dict[str, Any], path: Path) -> None:
    """Time against each size, both logarithmic, beside a line in proportion to the work (for threads, to its share)."""
    figure, panels = plt.subplots(1, len(SWEEPS), figsize=(12, 3), layout="constrained")
    for panel, (sweep, title) in zip(panels, SWEEPS.items(), strict=True):
        rows = [row for row in record["rows"] if row["sweep"] == sweep]
        x = [row["x"] for row in rows]
        ms = [row["ms"]["median"] for row in rows]
        work = [row["operations"] / (row["x"] if sweep == "threads" else 1) for row in rows]
        panel.loglog(x, [ms[0] * w / work[0] for w in work], "--", color="gray", label="in proportion")
        spread = [[row["ms"][end] for row in rows] for end in ("least", "most")]
        panel.fill_between(x, *spread, alpha=0.3)
        panel.loglog(x, ms, "o-", label=record["isa"])
        panel.set_title(title, fontsize="small")
        panel.set_xticks(x, [f"{value:,}" for value in x], rotation=45, ha="right")
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_ylabel("ms")
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _shares(rows: list[Row], threads: int) -> str:
    ours = [row for row in rows if row["engine"] == OURS and row["network"] == NETWORK and row["threads"] == threads]
    others = [row for row in rows if row["engine"] != OURS and row["threads"] == threads]
    lines = [[*_name(other), *(_share(row, other) for row in ours)] for other in others]
    columns = [f"{row['isa']}, {row['numbers']}" for row in ours]
    head = ["engine", "limited to", "network", "numbers", *columns]
    return f"{OURS}'s time ({NETWORK}, {_threads(threads)}) as a share of theirs:\n\n{markdown(head, lines)}"


def _reference(rows: list[Row], threads: int) -> Row:
    """Ours that the peers are compared with: the best instruction set, int8 where there is one."""
    ours = [row for row in rows if row["engine"] == OURS and row["network"] == NETWORK and row["threads"] == threads]
    return [row for row in ours if row["isa"] == ours[0]["isa"]][-1]


def _by_threads(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of one setting together, in order of their threads."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in KEYS), []).append(row)
    return list(groups.values())


def _share(ours: Row, other: Row) -> str:
    for share in ours["share_of"]:
        if all(share[key] == other[key] for key in KEYS):
            return _spread(share)
    return ""


def _name(row: Row) -> list[str]:
    return [row["engine"], row["isa"], row["network"], row["numbers"]]


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _spread(value: dict[str, float], digits: int = 2) -> str:
    return f"{value['median']:.{digits}f} ({value['least']:.{digits}f} to {value['most']:.{digits}f})"
