"""One training step of ResNets for CIFAR: in full precision, binary in PyTorch, by native products, natively fused.

A step is forward, loss, backward and AdamW on one batch of noise. Each contender lives in a process of its own and does
one step a round, in turns with the others, so that ratios within a round compare like with like. `--baseline PATH` adds
the native backend of an older checkout, run by that checkout's own environment. `loading` is what a batch of training
images takes, cut from as many as CIFAR-10 has and augmented.

Memory is how far the resident memory of the process rises above what it was before a step on the whole batch: weights,
the optimiser's state, libraries and their threads are there by then, after a step on two samples. It is what a step
keeps for its backward pass, gradients that are larger than those two samples', and scratch.

Beside it the floor of the binary layers (benchmarks/training_floor.py), and what each of the engine's passes takes.

GOMP_SPINCOUNT=1000 python benchmarks/training_step.py --baseline ../onebit-e05ce43
"""

import argparse
import ctypes
import inspect
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

import onebit.nn
from onebit import methods, models
from onebit.data.loader import Loader
from onebit.data.sampler import EpochSampler
from onebit.data.transform import Transform
from onebit.training.optimizer import make_optimizer
from onebit.training.recipe import OptimizerConfig

LAST = torch.channels_last
BITS, GRADIENT_BITS = 4, 8  # of CycleBNN; they change no time
BATCHES = {"resnet20_cifar": 128, "resnet18_cifar": 64}
KINDS = ("binary", "CycleBNN")
PRODUCTS, FUSED, FUSED_FLOAT = "native products", "native fused, bfloat16", "native fused, float32"
CONTENDERS = [
    *((kind, f"PyTorch {dtype}") for kind in ("full precision", *KINDS) for dtype in ("float32", "bfloat16")),
    *((kind, arithmetic) for kind in KINDS for arithmetic in (PRODUCTS, FUSED, FUSED_FLOAT)),
]
BASELINE = "baseline native"
LOADING = [("loading", augment) for augment in ("flip_crop", "cyclebnn")]
PAIRS = [  # whose ratio is stated
    *(((kind, FUSED), (kind, other)) for kind in KINDS for other in (BASELINE, PRODUCTS, "PyTorch bfloat16")),
    (("binary", FUSED), ("full precision", "PyTorch bfloat16")),
    (("binary", FUSED_FLOAT), ("binary", FUSED)),
    (("CycleBNN", FUSED), ("binary", FUSED)),
    *((loading, ("binary", FUSED)) for loading in LOADING),
]
Contender = tuple[str, str]


class Refusal(Exception):
    """Why a contender cannot take part."""


def make_step(model: str, kind: str, arithmetic: str, batch: int, threads: int) -> Callable[[int], None]:
    """A training step on the first so many samples of one batch of noise.

    Raises:
        Refusal: this version, or this machine, has no such arithmetic.
    """
    if kind == "loading":
        return make_loading(arithmetic, batch)
    torch.manual_seed(0)
    images = torch.randn(batch, 3, 32, 32).contiguous(memory_format=LAST)
    labels = torch.randint(10, (batch,))
    net = models.create(model, full_precision=kind == "full precision").to(memory_format=LAST).train()
    if kind == "CycleBNN":
        method = methods.CycleBNN()
        method.attach(net)
        method.set_bits(BITS, GRADIENT_BITS)
    if not arithmetic.startswith("PyTorch"):
        _use_native(net, arithmetic, threads)
    optimizer = make_optimizer(OptimizerConfig("adamw", lr=1e-3), net.parameters())
    bfloat16 = arithmetic == "PyTorch bfloat16" or (arithmetic == FUSED and has_bfloat16())

    def step(samples: int) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = functional.cross_entropy(net(images[:samples]), labels[:samples])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def make_loading(augment: str, batch: int) -> Callable[[int], None]:
    """The next batch of noise, with the augmentation that recipes call so."""
    torch.manual_seed(0)
    images, labels = torch.randint(256, (50_000, 3, 32, 32), dtype=torch.uint8), torch.randint(10, (50_000,))
    transform = Transform(augment, torch.full((3,), 0.5), torch.full((3,), 0.25), (32, 32), colour=(0.5, 0.5, 0.5))
    loader = Loader(images, labels, transform, EpochSampler(len(images), batch, shuffle=True))
    batches = itertools.chain.from_iterable(itertools.repeat(loader))

    def step(samples: int) -> None:
        next(batches)

    return step


def has_bfloat16() -> bool:
    """Whether PyTorch's part beside the fused layers is faster in bfloat16."""
    return torch.cpu._is_avx512_bf16_supported()


def _use_native(net: torch.nn.Module, arithmetic: str, threads: int) -> None:
    parameters = inspect.signature(onebit.nn.use_native).parameters
    fused = arithmetic in (FUSED, FUSED_FLOAT)
    if fused and "storage" not in parameters:
        raise Refusal("this version fuses nothing: use_native takes no storage")
    report = onebit.nn.use_native(net, threads, **({"storage": arithmetic.split()[-1]} if fused else {}))
    if not report.native or (fused and not report.fused):
        raise Refusal(str(report))
    if arithmetic == PRODUCTS and hasattr(onebit.nn, "Block"):
        for module in net.modules():
            if isinstance(module, onebit.nn.Block):
                module.backend = None
    print(f"{arithmetic}: {report}", file=sys.stderr)


def serve(model: str, kind: str, arithmetic: str, batch: int, threads: int) -> None:
    """The work of a contender's process: says what memory a step takes, then times a step for each line it reads."""
    torch.set_num_threads(threads)
    try:
        step = make_step(model, kind, arithmetic, batch, threads)
    except Refusal as refusal:
        print(json.dumps({"refusal": str(refusal)}), flush=True)
        return
    step(2)
    before = resident_bytes(reset_peak=True)["VmRSS"]
    step(batch)
    print(json.dumps({"memory_bytes": resident_bytes()["VmHWM"] - before}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step(batch)
        print(time.perf_counter() - start, flush=True)


def resident_bytes(reset_peak: bool = False) -> dict[str, int]:
    """Resident memory of this process now (``VmRSS``) and at most (``VmHWM``), by Linux; freed memory is given back."""
    if reset_peak:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {key: 1024 * int(found[key].split()[0]) for key in ("VmRSS", "VmHWM")}


class Process:
    """A contender in a process of its own.

    Args:
        python: of its environment.
        words: arguments of `serve`.
    """

    def __init__(self, python: Path, words: list[str]) -> None:
        command = [str(python), str(Path(__file__).resolve()), "--serve", *words]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answer = json.loads(self._read())
        self.refusal: str | None = answer.get("refusal")
        self.memory_bytes: int = answer.get("memory_bytes", 0)

    def step(self) -> float:
        """Seconds of one step."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return float(self._read())

    def end(self) -> None:
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(map(str, self._process.args))} ended: see what it says above")
        return line


def measure(model: str, batch: int, threads: int, rounds: int, baseline: Path | None) -> dict[str, Any]:
    """Steps of all contenders, in turns."""
    wanted = [(Path(sys.executable), contender) for contender in (*CONTENDERS, *LOADING)]
    if baseline is not None:
        wanted += [(baseline, (kind, BASELINE)) for kind in KINDS]
    processes: dict[Contender, Process] = {}
    refusals = {}
    for python, (kind, arithmetic) in wanted:
        process = Process(python, [model, kind, arithmetic, str(batch), str(threads)])
        if process.refusal is None:
            processes[kind, arithmetic] = process
        else:
            refusals[title((kind, arithmetic))] = process.refusal
            print(f"{title((kind, arithmetic))} takes no part: {process.refusal}")
            process.end()
    seconds: dict[Contender, list[float]] = {contender: [] for contender in processes}
    for _ in range(rounds):
        for contender, process in processes.items():
            seconds[contender].append(process.step())
    for process in processes.values():
        process.end()
    return {
        "batch": batch,
        "steps_ms": {title(key): spread([1e3 * value for value in values]) for key, values in seconds.items()},
        "memory_bytes": {title(key): process.memory_bytes for key, process in processes.items()},
        "ratios": ratios(seconds),
        "refusals": refusals,
    }


def title(contender: Contender) -> str:
    """
    Example:
        >>> title(("binary", "PyTorch float32"))
        'binary, PyTorch float32'
    """
    return ", ".join(contender)


def ratios(seconds: dict[Contender, list[float]]) -> dict[str, dict[str, float]]:
    """Of the pairs that took part, within each round."""
    return {
        f"{title(one)} / {title(other)}": spread([a / b for a, b in zip(seconds[one], seconds[other], strict=True)])
        for one, other in PAIRS
        if one in seconds and other in seconds
    }


def spread(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"least": min(values), "lower_quartile": low, "median": middle, "upper_quartile": high}


def floors(model: str, batch: int, threads: int, rounds: int, rates: dict[str, float]) -> list[dict[str, Any]]:
    """Of each shape of binary layer: the floor of its passes and what they take, with each storage."""
    import training_floor

    return [
        {
            **vars(layer),
            "count": count,
            "floor_ms": {
                name: training_floor.floor(layer, batch, threads, rates, name) for name in training_floor.BYTES
            },
            "ms": {name: training_floor.times(layer, batch, threads, name, rounds) for name in training_floor.BYTES},
        }
        for layer, count in training_floor.layers(model).items()
    ]


def floor_shares(result: dict[str, Any]) -> dict[str, float]:
    """The floor of all binary layers as a share of the least fused step, by storage."""
    shares = {}
    for arithmetic in (FUSED, FUSED_FLOAT):
        step = result["steps_ms"].get(title(("binary", arithmetic)))
        if step is not None:
            storage = arithmetic.split()[-1]
            least = sum(layer["count"] * sum(layer["floor_ms"][storage].values()) for layer in result["layers"])
            shares[storage] = least / step["least"]
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="results/training_step.json")
    parser.add_argument("--models", nargs="+", choices=list(BATCHES), default=list(BATCHES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--baseline", type=Path, help="an older checkout with its environment in .venv")
    parser.add_argument("--serve", nargs=5, help=argparse.SUPPRESS)  # the process of one contender
    args = parser.parse_args()
    if args.serve is not None:
        serve(*args.serve[:3], *map(int, args.serve[3:]))
        return
    if platform.system() != "Linux":
        sys.exit("memory is read from Linux's /proc")
    import training_floor

    from onebit import _engine
    from onebit.training.record import write_record

    torch.set_num_threads(args.threads)
    python = args.baseline and args.baseline / ".venv" / "bin" / "python"
    rates = training_floor.measured_rates(args.threads)
    results = {}
    for model in args.models:
        batch = BATCHES[model]
        result = measure(model, batch, args.threads, args.rounds, python)
        result["layers"] = floors(model, batch, args.threads, args.rounds, rates)
        result["floor_shares"] = floor_shares(result)
        results[model] = result
        show(model, result)
    settings = {"seed": 0, "threads": args.threads, "rounds": args.rounds, "isa": _engine.training_isa("")}
    settings["GOMP_SPINCOUNT"] = os.environ.get("GOMP_SPINCOUNT")  # how long PyTorch's threads hold on to the cores
    settings["autocast_beside_fused"] = has_bfloat16()
    settings["baseline_commit"] = args.baseline and commit(args.baseline)
    write_record(args.output, {**settings, "rates": rates, "models": results})


def commit(checkout: Path) -> str:
    words = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def show(model: str, result: dict[str, Any]) -> None:
    print(f"{model}, batch {result['batch']}")
    for name, values in result["steps_ms"].items():
        memory = result["memory_bytes"][name] / 1e6
        print(f"{name:34} {values['median']:7.1f} ms  (least {values['least']:.1f}), {memory:.0f} MB")
    for name, values in result["ratios"].items():
        print(f"{name:66} {values['median']:.2f}  ({values['lower_quartile']:.2f} to {values['upper_quartile']:.2f})")
    for storage, share in result["floor_shares"].items():
        print(f"floor of the binary layers, of the least step, {storage}: {share:.0%}")


if __name__ == "__main__":
    main()
