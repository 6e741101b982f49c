"""The least time that the binary layers of a training step can take, counted, and what the engine's passes take.

The floor of a pass is the longer of its products, at the rate of the unit that executes them (xor and popcount forward,
levels by signs backward; one thread in the caches, times the threads), and of its bytes, at the bandwidth of the shared
cache. Backward is four passes: the range of dL/dy, its quantisation, and the gradients of input and weight. A unit is
*outer* if it adds a shortcut and gives numbers, else *inner*: it gives bits alone.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from onebit import _engine, models
from onebit.nn import BinaryConv2d

OUTER = {"CifarBlock": ("conv2",), "ImageNetBlock": ("conv1", "conv2")}  # of each kind of block
BYTES = {"bfloat16": 2, "float32": 4}
PASSES = ("convolve", "normalize", "backward")
Work = Callable[[], None]


@dataclass(frozen=True)
class Layer:
    """A binary 3×3 convolution as a unit: its sides, and whether it, and the unit in front of it, are outer ones."""

    side: int
    in_channels: int
    out_channels: int
    stride: int
    outer: bool
    front_outer: bool

    @property
    def out_side(self) -> int:
        return self.side // self.stride

    def shape(self, batch: int) -> tuple[int, ...]:
        """As the engine has it."""
        inputs, outputs = (self.side, self.side, self.in_channels), (self.out_side, self.out_side, self.out_channels)
        return batch, *inputs, *outputs, 3, 3, self.stride, self.stride, 1, 1


def layers(model: str) -> Counter[Layer]:
    """The binary convolutions of a network of residual blocks, and how many of each there are."""
    found: Counter[Layer] = Counter()
    net = models.create(model)
    for block in net.modules():
        outer = OUTER.get(type(block).__name__)
        if outer is not None:
            for place, name in enumerate(("conv1", "conv2")):
                layer = block.get_submodule(name)
                assert isinstance(layer, BinaryConv2d)

                def see(
                    layer: nn.Module,
                    inputs: tuple[Tensor, ...],
                    _: object,
                    own: bool = name in outer,
                    front: bool = place == 0 or "conv1" in outer,
                ) -> None:
                    assert isinstance(layer, BinaryConv2d)
                    sides = inputs[0].shape[-1], layer.in_channels, layer.out_channels, layer.stride[0]
                    found[Layer(*sides, outer=own, front_outer=front)] += 1

                layer.register_forward_hook(see)
    with torch.no_grad():
        net.eval()(torch.zeros(1, *net.input_shape))
    return found


def floor(layer: Layer, batch: int, threads: int, rates: dict[str, float], storage: str) -> dict[str, float]:
    """Milliseconds of each pass.

    Args:
        layer: its shape.
        batch: samples.
        threads: that compute.
        rates: products of one thread (``binary``, ``levels``) and ``bytes`` of all threads, a second.
        storage: of real numbers between units.
    """
    size = BYTES[storage]
    inputs = batch * layer.side**2 * layer.in_channels
    outputs = batch * layer.out_side**2 * layer.out_channels
    products = 9 * outputs * layer.in_channels
    forward, backward = (products / (threads * rates[key]) for key in ("binary", "levels"))
    dots = 2 * outputs  # bytes: int16
    front = 3 * size if layer.front_outer else 2 + size  # x, the shortcut's gradient and dz; or y and dz
    floors = {
        "convolve": max(forward, (dots + inputs / 8) / rates["bytes"]),
        "normalize": (dots + outputs * (2 * size * layer.outer + 1 / 8)) / rates["bytes"],
        "backward": 2 * (dots + size * outputs) / rates["bytes"]
        + max(backward, front * inputs / rates["bytes"])
        + backward,
    }
    return {name: 1e3 * seconds for name, seconds in floors.items()}


def times(layer: Layer, batch: int, threads: int, storage: str, rounds: int) -> dict[str, float] | None:
    """Milliseconds of each pass, the least of the rounds; None if the engine does not fuse such a layer."""
    if _engine.unfit_for_fusing(layer.shape(batch)) is not None:
        return None
    works = passes(layer, batch, threads, storage)
    return {name: 1e3 * min(seconds) for name, seconds in in_turns(works, rounds).items()}


def passes(layer: Layer, batch: int, threads: int, storage: str) -> dict[str, Work]:
    """The passes of a unit between two Hardtanhs, on random numbers, each on what the one before it wrote."""
    shape, engine, random = layer.shape(batch), _engine.Fused(threads, ""), np.random.default_rng(0)
    stored = np.float32 if storage == "float32" else np.int16

    def numbers(*sides: int) -> np.ndarray:
        values = torch.from_numpy(random.uniform(-1, 1, sides).astype(np.float32))
        return values.numpy() if storage == "float32" else values.bfloat16().view(torch.int16).numpy()

    def words(channels: int) -> int:
        return (channels + 31) // 32

    x_sides = batch, layer.side, layer.side, layer.in_channels
    y_sides = batch, layer.out_side, layer.out_side, layer.out_channels
    weight = np.empty((layer.out_channels, 3, 3, words(layer.in_channels)), np.int32)
    signs = random.choice(np.array([-1, 1], np.float32), (layer.out_channels, 3, 3, layer.in_channels))
    assert engine.pack(signs, weight)
    source, bits = numbers(*x_sides), np.empty((*x_sides[:3], words(layer.in_channels)), np.int32)
    engine.signs(source, None, False, bits)
    y, sums = np.empty(y_sides, np.int16), np.empty((2, layer.out_channels), np.int64)
    engine.convolve(shape, bits, weight, y, sums)
    pixels = y.size / layer.out_channels
    mean = sums[0] / pixels
    slope = (1 / np.sqrt(sums[1] / pixels - mean**2 + 1e-5)).astype(np.float32)
    offset = (-mean * slope).astype(np.float32)
    residual, result = (numbers(*y_sides), np.empty(y_sides, stored)) if layer.outer else (None, None)
    result_bits = np.empty((*y_sides[:3], words(layer.out_channels)), np.int32)
    dz, dw, output = numbers(*y_sides), np.empty(signs.shape, np.float32), np.empty(x_sides, stored)
    coefficients = np.stack([slope, np.zeros_like(slope), np.zeros_like(slope)])
    front_sums = np.empty((5, layer.in_channels))
    if layer.front_outer:
        front = {"source": source, "shortcut": numbers(*x_sides)}
    else:
        ones = np.ones(layer.in_channels, np.float32)
        front = {"front_y": random.integers(-9, 10, x_sides, np.int16), "front_slope": ones / 9}
        front |= {"front_offset": 0 * ones, "front_mean": 0 * ones}
    activation = 0 if layer.front_outer else 1

    def backward() -> None:
        arrays = shape, dz, y, coefficients, 255, 0, weight, bits, dw, output
        engine.backward(*arrays, estimator=2, activation=activation, sums=front_sums, **front)

    return {
        "convolve": lambda: engine.convolve(shape, bits, weight, y, sums),
        "normalize": lambda: engine.normalize(y, slope, offset, residual, 1, x=result, bits=result_bits),
        "backward": backward,
    }


def measured_rates(threads: int) -> dict[str, float]:
    """Products per second of one thread, and bytes per second of all, in the shared cache and in memory."""
    rates = {"binary": _engine.rates("")[0], "levels": _engine.level_rate("")}
    for name, numbers in (("bytes", 1 << 20), ("memory_bytes", 1 << 25)):  # thrice 4 MB, thrice 128 MB
        a, b, c = (torch.ones(numbers) for _ in range(3))
        with torch.no_grad():
            seconds = min(in_turns({"add": lambda a=a, b=b, c=c: torch.add(a, b, out=c)}, 30)["add"])
        rates[name] = 3 * a.nbytes / seconds
    return rates


def in_turns(works: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round; the first round is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}
