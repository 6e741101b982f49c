"""One training step of ResNet-18 for CIFAR: in full precision, binary in PyTorch, and binary in integers, in turns.

A step is forward, loss, backward and AdamW on one batch of noise. Each network does one step a round; ratios are taken
within a round. Then each shape of binary convolution alone, forward and backward, beside what the counted floor of the
native products is: products at the engine's rate for bits and for bytes (one thread in the caches, times the threads),
or the bytes of the floats that are read and written at the memory's bandwidth, whichever takes longer.

python benchmarks/training_step.py --output results/training_step_spinning.json
GOMP_SPINCOUNT=1000 python benchmarks/training_step.py --output results/training_step.json
"""

import argparse
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from onebit import methods, models
from onebit.nn import BinaryConv2d, use_native
from onebit.runtime import _engine
from onebit.training.record import write_record

LAST = torch.channels_last
BITS, GRADIENT_BITS = 4, 8  # of CycleBNN; they change no time
REFERENCES = {  # what each is divided by
    "full precision, float32": "full precision, bfloat16",
    "binary, PyTorch float32": "binary, PyTorch bfloat16",
    "binary, native": "binary, PyTorch bfloat16",
    "CycleBNN, PyTorch float32": "CycleBNN, PyTorch bfloat16",
    "CycleBNN, native": "CycleBNN, PyTorch bfloat16",
}


def make_step(kind: str, arithmetic: str, images: Tensor, labels: Tensor, threads: int) -> Callable[[], None]:
    torch.manual_seed(0)
    net = models.create("resnet18_cifar", full_precision=kind == "full precision").to(memory_format=LAST).train()
    if kind == "CycleBNN":
        method = methods.CycleBNN()
        method.attach(net)
        method.set_bits(BITS, GRADIENT_BITS)
    if arithmetic == "native":
        print(use_native(net, threads))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=arithmetic.endswith("bfloat16")):
            loss = functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def in_turns(works: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round; the first round is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}


def spread(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"least": min(values), "lower_quartile": low, "median": middle, "upper_quartile": high}


def shapes(images: Tensor) -> Counter[tuple[int, int, int, int]]:
    """(side, channels in, channels out, stride) of the binary convolutions, and how many of each there are."""
    found: Counter[tuple[int, int, int, int]] = Counter()

    def see(layer: nn.Module, inputs: tuple[Tensor, ...], _: Any) -> None:
        assert isinstance(layer, BinaryConv2d)
        found[inputs[0].shape[-1], layer.in_channels, layer.out_channels, layer.stride[0]] += 1

    net = models.create("resnet18_cifar")
    for layer in net.modules():
        if isinstance(layer, BinaryConv2d):
            layer.register_forward_hook(see)
    with torch.no_grad():
        net(images[:2])
    return found


def layer_times(shape: tuple[int, int, int, int], batch: int, threads: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds, the least of the rounds, forward and backward."""
    side, channels, outputs, stride = shape
    x = torch.randn(batch, channels, side, side).contiguous(memory_format=LAST).requires_grad_()
    state: dict[str, Tensor] = {}
    works: dict[str, Callable[[], None]] = {}
    for arithmetic in ("PyTorch float32", "PyTorch bfloat16", "native"):
        layer = BinaryConv2d(channels, outputs, 3, stride, 1).to(memory_format=LAST)
        if arithmetic == "native":
            use_native(nn.Sequential(layer), threads)

        def forward(layer: nn.Module = layer, name: str = arithmetic) -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=name.endswith("bfloat16")):
                state[name] = layer(x)

        def backward(layer: nn.Module = layer, name: str = arithmetic) -> None:
            layer.zero_grad()
            x.grad = None
            gradient = state["gradient"].to(state[name].dtype)
            state[name].backward(gradient)

        forward()
        state["gradient"] = torch.randn_like(state[arithmetic].detach()).float()
        works |= {f"{arithmetic} forward": forward, f"{arithmetic} backward": backward}
    least = {name: 1e3 * min(values) for name, values in in_turns(works, rounds).items()}
    return {
        arithmetic: {part: least[f"{arithmetic} {part}"] for part in ("forward", "backward")}
        for arithmetic in ("PyTorch float32", "PyTorch bfloat16", "native")
    }


def floor(shape: tuple[int, int, int, int], batch: int, threads: int, rates: dict[str, float]) -> dict[str, float]:
    """Milliseconds: of the forward product, and of both backward products."""
    side, channels, outputs, stride = shape
    pixels = (side // stride) ** 2
    products = 9 * batch * pixels * channels * outputs
    x, y = 4 * batch * side**2 * channels, 4 * batch * pixels * outputs  # bytes
    bandwidth = rates["bytes"]
    forward = max(products / (threads * rates["binary"]), (x + y) / bandwidth)
    backward = max(2 * products / (threads * rates["int8"]), (2 * x + y) / bandwidth)
    return {"forward": 1e3 * forward, "backward": 1e3 * backward}


def measured_rates() -> dict[str, float]:
    """Products a second of one thread, and bytes a second of all between memory and themselves."""
    binary, _, _, int8 = _engine.rates("")
    source = torch.ones(1 << 25)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)

    seconds = min(in_turns({"copy": copy}, 10)["copy"])
    return {"binary": binary, "int8": int8, "bytes": 2 * source.nbytes / seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="results/training_step.json")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    images = torch.randn(args.batch, 3, 32, 32).contiguous(memory_format=LAST)
    labels = torch.randint(10, (args.batch,))
    names = [*dict.fromkeys(name for pair in REFERENCES.items() for name in pair)]
    works = {name: make_step(*name.split(", ", 1), images, labels, args.threads) for name in names}
    seconds = in_turns(works, args.rounds)
    steps = {name: spread([1e3 * value for value in values]) for name, values in seconds.items()}
    ratios = {
        f"{name} / {reference}": spread([a / b for a, b in zip(seconds[name], seconds[reference], strict=True)])
        for name, reference in REFERENCES.items()
    }
    rates = measured_rates()
    layers = [
        {
            "side": shape[0],
            "in_channels": shape[1],
            "out_channels": shape[2],
            "stride": shape[3],
            "count": count,
            "ms": layer_times(shape, args.batch, args.threads, args.rounds),
            "floor_ms": floor(shape, args.batch, args.threads, rates),
        }
        for shape, count in shapes(images).items()
    ]
    result = {"steps_ms": steps, "ratios": ratios, "rates": rates, "layers": layers}
    settings = {"model": "resnet18_cifar", "batch": args.batch, "threads": args.threads, "rounds": args.rounds}
    settings["GOMP_SPINCOUNT"] = os.environ.get("GOMP_SPINCOUNT")  # how long PyTorch's threads hold on to the cores
    write_record(args.output, {"seed": 0, **settings, "isa": _engine.training_isa(""), **result})
    for name, values in steps.items():
        print(f"{name:28} {values['median']:7.0f} ms  (least {values['least']:.0f})")
    for name, values in ratios.items():
        print(f"{name:56} {values['median']:.2f}  ({values['lower_quartile']:.2f} to {values['upper_quartile']:.2f})")


if __name__ == "__main__":
    main()
