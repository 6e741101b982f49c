"""Runs of `onebit train` on CIFAR-10, each a folder: begun, gone on with where it was broken off, and read.

5,000 training images are held out, the same ones in every run: for curves, and for whatever is chosen. The test images
are read once for each run, when it is finished.
"""

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

ROOT = Path(__file__).parents[1]
HELD_OUT, IMAGES = 5000, 50_000


def epoch(batch: int) -> int:
    """Steps of an epoch without the images that are held out."""
    return math.ceil((IMAGES - HELD_OUT) / batch)


def is_finished(folder: Path) -> bool:
    return (folder / "record.json").exists()


def command(recipe: str, options: Mapping[str, object], folder: Path) -> list[str]:
    """The command of a run, or of what is left of it."""
    words = [f"--{key}={value}" for key, value in options.items()]
    if (folder / "last.ckpt").exists():
        words.append(f"--resume={folder / 'last.ckpt'}")
    path = ROOT / "recipes" / f"{recipe}.yaml"
    return [sys.executable, "-m", "onebit", "train", str(path), *words, "--output", str(folder)]


def train(commands: Sequence[Sequence[str]], side_by_side: int = 1) -> None:
    """Runs so many at a time."""
    groups = [commands[first : first + side_by_side] for first in range(0, len(commands), side_by_side)]
    for group in track(groups, description="training"):
        processes = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for words in group]
        codes = [process.wait() for process in processes]
        if any(codes):
            sys.exit("a run failed: see what it says above, then start again")


def result(folder: Path) -> dict[str, Any]:
    """What a finished run reached on the images held out, and what it took."""
    record = json.loads((folder / "record.json").read_text("utf-8"))
    figures = record["result"]
    return {
        "validation_top1": figures["last_top1"],
        "seconds": figures["seconds"],
        "images_per_second": figures["images_per_second"],
        "steps": figures["steps"],
        "operations_saved_percent": figures["operations_saved_percent"],
        "energy_joule": record["energy_joule"],
        "curve": [{"epoch": v["epoch"], "top1": v["top1"]} for v in record["validations"]],
        "loss": [{"step": point["step"], "loss": point["loss"]} for point in record["curve"]],
        "commit": record["provenance"]["commit"],
        "modified": record["provenance"]["modified"],
    }


def test_top1(folder: Path) -> float:
    """Top-1 of a finished run on the test images, which are read once: its folder keeps what they gave."""
    tested = folder / "test.json"
    if not tested.exists():
        words = [sys.executable, "-m", "onebit", "evaluate", str(folder / "last.ckpt"), "--json"]
        tested.write_text(subprocess.run(words, capture_output=True, text=True, check=True).stdout, encoding="utf-8")
    top1: float = json.loads(tested.read_text("utf-8"))["top1"]
    return top1


def spread(values: Sequence[float]) -> dict[str, float | None]:
    return {"mean": statistics.mean(values), "deviation": statistics.stdev(values) if len(values) > 1 else None}


def mean_curve(curves: Sequence[Sequence[dict[str, float]]]) -> list[dict[str, float | None]]:
    """Top-1 over the epochs: mean and deviation over runs of one length."""
    return [
        {"epoch": points[0]["epoch"], **spread([point["top1"] for point in points])}
        for points in zip(*curves, strict=True)
    ]
