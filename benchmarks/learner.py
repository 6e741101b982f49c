"""What an experience takes on the device, beside PyTorch on the same work, on one core.

The head: a mini-batch of CWR*, 50 samples of 512 features, 50 classes. The tail: 50 images of a new class, 32 × 32,
taught to Bi-Real-Net-18 cut before its last three binary convolutions, with 300 latents to replay. Weights and images
are random. The head's rate is so small that it learns nothing: no work that errors of 0 would save is left out. PyTorch
trains the same layers by the same mini-batches, in float32 and with the quantisation simulated. Ours and PyTorch's take
turns.

python benchmarks/learner.py --output results/learner.json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from onebit import continual, deploy, models
from onebit.cost import energy
from onebit.models.layers import pooled
from onebit.training.record import write_record

CLASSES, FEATURES, BATCH, STEPS, RATE = 50, 512, 50, 500, 1e-9  # of the head; a sample per class
IMAGES, ITEMS, OLD, CUT = 50, 300, 10, "stages.3.0"  # of the tail
TAIL = {"epochs": 10, "batch": 50, "replayed": 36, "learning_rate": 0.1, "tail_rate": 0.1}  # the defaults
SHAPE = (3, 32, 32)
FRESH = int(TAIL["batch"]) - int(TAIL["replayed"])
TAIL_STEPS = int(TAIL["epochs"]) * -(-IMAGES // FRESH)


class Pooled(nn.Module):
    """A network whose features are its input."""

    def __init__(self) -> None:
        super().__init__()
        self.input_shape = (FEATURES, 1, 1)
        self.pool = pooled()
        self.head = nn.Linear(FEATURES, CLASSES - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(x))


def ours(model: Path, names: list[str], options: dict[str, Any]) -> dict[str, Any]:
    script = Path(__file__).with_name("experience.py")
    words = ["--names", json.dumps(names), "--rounds", "1", "--options", json.dumps(options)]
    made = subprocess.run([sys.executable, str(script), str(model), *words], check=True, capture_output=True)
    return json.loads(made.stdout)


def milliseconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begin)


def torch_head(simulated: bool) -> Callable[[int], float]:
    """Milliseconds of an update of so many mini-batches."""
    features, labels = torch.randn(BATCH, FEATURES), torch.arange(BATCH) % CLASSES
    past = torch.ones(CLASSES, dtype=torch.int64)

    def update(steps: int) -> float:
        arithmetic = continual.Hybrid((float(features.min()), float(features.max()))) if simulated else None
        learner = continual.CWRStar(
            torch.randn(CLASSES, FEATURES), past, steps=steps, batch=BATCH, arithmetic=arithmetic
        )
        return milliseconds(lambda: learner.learn(features, labels))

    return update


def torch_tail(net: nn.Module, simulated: bool) -> Callable[[], float]:
    parts = continual.split(net, "stages.3.1")
    latents = parts.latents(torch.randn(IMAGES + ITEMS, *SHAPE))
    past = torch.tensor([1000] * OLD + [0])

    def update() -> float:
        memory = continual.ReplayMemory(ITEMS)
        memory.update(latents[IMAGES:], torch.arange(ITEMS) % OLD)
        learner = continual.AR1Star(
            parts.rows(OLD + 1),
            past,
            parts.tail,
            memory,
            steps=TAIL_STEPS,
            batch=FRESH,
            replayed=int(TAIL["replayed"]),
            learning_rate=TAIL["tail_rate"],
            arithmetic=continual.FullyQuantized() if simulated else None,
        )
        return milliseconds(lambda: learner.learn(latents[:IMAGES], torch.full((IMAGES,), OLD)))

    return update


def spread(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"least": min(values), "lower_quartile": low, "median": middle, "upper_quartile": high}


def measure_head(folder: Path, rounds: int) -> dict[str, Any]:
    """Microseconds of a mini-batch: an update of 2 n less one of n, so that what an update takes once is left out."""
    model = folder / "head.obn"
    deploy.export(Pooled(), model, torch.randn(64, FEATURES, 1, 1), classes=[str(i) for i in range(CLASSES - 1)])
    names = [*(str(i) for i in range(CLASSES - 1)), "new"]
    took: dict[str, list[float]] = {"native": [], "PyTorch, float32": [], "PyTorch, simulated": []}
    references = {"PyTorch, float32": torch_head(False), "PyTorch, simulated": torch_head(True)}
    for _ in range(rounds):
        experiences = [
            ours(model, names, {"batch": BATCH, "steps": steps, "learning_rate": RATE})["lessons"][0]
            for steps in (STEPS, 2 * STEPS)
        ]
        took["native"].append(1e3 * (experiences[1]["update"] - experiences[0]["update"]) / STEPS)
        for name, update in references.items():
            steps = STEPS // 5
            took[name].append(1e3 * (update(2 * steps) - update(steps)) / steps)
    products = 2 * BATCH * CLASSES * FEATURES
    joules = {"native": products * energy.joule(8, 8), "PyTorch, float32": products * energy.joule(32, 32)}
    return {"microseconds": {name: spread(values) for name, values in took.items()}, "joule": joules}


def measure_tail(folder: Path, rounds: int) -> dict[str, Any]:
    torch.manual_seed(0)
    net = models.create("birealnet18", input_size=32, latent_sign=CUT)
    net(torch.randn(64, *SHAPE))  # the ranges and the cut's scale
    net.eval()
    model = folder / "tail.obn"
    items = deploy.Teachable(torch.randn(ITEMS, *SHAPE), [i % OLD for i in range(ITEMS)])
    deploy.export(net, model, torch.randn(64, *SHAPE), classes=[str(i) for i in range(OLD)], teachable=items)
    references = {"PyTorch, float32": torch_tail(net, False), "PyTorch, simulated": torch_tail(net, True)}
    took: dict[str, list[float]] = {}
    for _ in range(rounds):
        made = ours(model, ["new"] * IMAGES, TAIL)
        (experience,) = made["lessons"]
        operations = experience.pop("operations")
        for part, value in {**experience, "lesson": sum(experience.values())}.items():
            took.setdefault(f"native, {part}", []).append(value)
        for name, reference in references.items():
            took.setdefault(f"{name}, update", []).append(reference())
    forward, backward = operations["update"] / 3, operations["update"] * 2 / 3
    return {
        "milliseconds": {name: spread(values) for name, values in took.items()},
        "steps": TAIL_STEPS,
        "operations": operations,
        "joule": {
            "native": forward * energy.joule(1, 1) + backward * energy.joule(8, 1),
            "PyTorch, float32": operations["update"] * energy.joule(32, 32),
        },
        "model_bytes": model.stat().st_size,
        **{key: made[key] for key in ("peak_bytes", "state_bytes", "replay")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="results/learner.json")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        parts = {"head": measure_head(Path(folder), args.rounds), "tail": measure_tail(Path(folder), args.rounds)}
    settings = {"classes": CLASSES, "features": FEATURES, "batch": BATCH, "images": IMAGES, "tail": TAIL}
    write_record(args.output, {"seed": 0, "rounds": args.rounds, "settings": settings, **parts})
    print(json.dumps(parts, indent=1))


if __name__ == "__main__":
    main()
