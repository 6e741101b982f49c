"""onebit: its packed networks on every instruction set of this machine but the plain reference."""

from pathlib import Path
from typing import Any

import numpy as np
from worker import Setting

import onebit
from onebit import _engine

NETWORKS = {"birealnet18": "Bi-Real-Net-18", "reactnet18": "ReActNet-18"}
NUMBERS = {"": "1 bit, float32", "_int8": "1 bit, int8"}


def versions() -> dict[str, str]:
    return {"onebit": onebit.__version__}


def settings(folder: Path, threads: int) -> list[Setting]:
    inputs = list(np.ascontiguousarray(np.load(folder / "images.npy").transpose(0, 2, 3, 1))[:, None])
    result = []
    for isa in _engine.isas():
        if isa == "reference":
            continue
        for name, network in NETWORKS.items():
            for suffix, numbers in NUMBERS.items():
                path = folder / f"{name}{suffix}.obn"
                if path.exists():
                    run, reference = _run(path, threads, isa), folder / f"{name}.npy"
                    result.append(Setting(network, numbers, path, inputs, run, reference, isa=isa))
    return result


def _run(path: Path, threads: int, isa: str) -> Any:
    model = onebit.load(path, threads=threads, isa=isa)
    session = model.sessions.open(["logits"], 1)
    y = np.empty((1, 1, 1, model.outputs["logits"][0]), np.float32)

    def run(x: Any) -> Any:
        session.run(x, [y])
        return y

    return run
