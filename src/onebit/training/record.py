"""The record of a run: its result, and everything that is needed to repeat it."""

import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from onebit.files import atomic_file


def write_record(path: str | Path, content: dict[str, Any]) -> None:
    """Writes ``content`` and, under ``provenance``, the commit, the machine and the date as JSON.

    Args:
        path: the file; an existing one is replaced.
        content: the recipe and the results, in plain containers.
    """
    with atomic_file(path, force=True) as temporary:
        temporary.write_text(json.dumps({**content, "provenance": provenance()}, indent=1) + "\n", encoding="utf-8")


def provenance() -> dict[str, Any]:
    """The commit, whether the tree differed from it, the date, and the machine: CPU, GPU, cores and versions.

    Example:
        >>> provenance()["machine"]["torch"] == torch.__version__
        True
    """
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit,
        "modified": bool(_git("status", "--porcelain", "--untracked-files=no")) if commit else None,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "system": platform.system(),
        },
    }


def _git(*words: str) -> str | None:
    here = Path(__file__).parent  # of an editable install; an installed package lies in no repository of ours
    try:
        done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
