"""The engine's passes of a fused unit beside the oracle's, one by one."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from onebit import _engine
from tests.oracle.fused import HARDTANH, IDENTITY, NONE, RPRELU, STAIRCASE, SWISH, TANH, Exact

ISAS = [isa for isa in _engine.isas() if _engine.training_isa(isa)]
ORACLE = Exact()


def stored(x: Tensor, storage: str) -> Any:
    return x.bfloat16().view(torch.int16).numpy() if storage == "bfloat16" else x.float().numpy()


def values(x: Any) -> Tensor:
    return torch.from_numpy(x).view(torch.bfloat16).double() if x.dtype == np.int16 else torch.from_numpy(x).double()


def both(passes: Any, name: str, arguments: dict[str, Any], results: dict[str, Any]) -> list[dict[str, Any]]:
    """What a pass of the engine and of the oracle writes."""
    found = []
    for each in (passes, ORACLE):
        mine = {key: np.zeros_like(value) for key, value in results.items()}
        getattr(each, name)(**arguments, **mine)
        found.append(mine)
    return found


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_passes_are_the_oracles(isa: str, storage: str, data: st.DataObject) -> None:
    torch.manual_seed(data.draw(st.integers(0, 2**31)))
    draw = data.draw
    n, height, width, channels = (
        draw(st.integers(1, 3)),
        *(draw(st.integers(3, 7)) for _ in "hw"),
        draw(st.integers(1, 40)),
    )
    outputs, kernel, stride, pad = draw(st.integers(1, 40)), draw(st.sampled_from([1, 3])), draw(st.integers(1, 2)), 1
    if kernel == 1:
        pad = 0
    out = [(side + 2 * pad - kernel) // stride + 1 for side in (height, width)]
    shape = (n, height, width, channels, *out, outputs, kernel, kernel, stride, stride, pad, pad)
    passes = _engine.Fused(draw(st.integers(1, 2)), isa)

    x = torch.randn(n, height, width, channels)
    words = -(-channels // 32)
    threshold = draw(st.sampled_from([None, torch.randn(channels).numpy(), "samples"]))
    per_sample = isinstance(threshold, str)
    mine, theirs = both(
        passes,
        "signs",
        {
            "x": stored(x, storage),
            "threshold": torch.randn(n).numpy() if per_sample else threshold,
            "per_sample": per_sample,
        },
        {"bits": np.zeros((n, height, width, words), np.int32)},
    )
    np.testing.assert_array_equal(mine["bits"], theirs["bits"])
    bits = theirs["bits"]

    weight = torch.randn(outputs, kernel, kernel, channels).sign() * torch.rand(outputs, 1, 1, 1)
    signs, magnitude = np.zeros((outputs, kernel, kernel, words), np.int32), np.zeros(outputs, np.float32)
    other, size = np.zeros_like(signs), np.zeros_like(magnitude)
    assert passes.pack(weight.numpy(), signs, magnitude) == ORACLE.pack(weight.numpy(), other, size)
    np.testing.assert_array_equal(signs, other)
    np.testing.assert_array_equal(magnitude, size)

    dw, exact = torch.randn(weight.shape).numpy(), torch.randn(outputs).numpy()
    found, wanted = dw.copy(), dw.copy()
    passes.along_signs(signs, magnitude, exact, found)
    ORACLE.along_signs(signs, magnitude, exact, wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())

    mine, theirs = both(
        passes,
        "convolve",
        {"shape": shape, "bits": bits, "weight": signs},
        {"y": np.zeros((n, *out, outputs), np.int16), "sums": np.zeros((2, outputs), np.int64)},
    )
    np.testing.assert_array_equal(mine["y"], theirs["y"])
    np.testing.assert_array_equal(mine["sums"], theirs["sums"])
    y = theirs["y"]

    activation = draw(st.sampled_from([NONE, HARDTANH, RPRELU]))
    parameters = torch.rand(3, outputs).numpy() if activation == RPRELU else None
    store = np.zeros_like(stored(torch.zeros(1), storage), shape=(n, *out, outputs))
    results = {"x": store, "statistics": np.zeros((n, 4)), "bits": np.zeros((n, *out, -(-outputs // 32)), np.int32)}
    if activation == RPRELU:
        results["z"] = store
    arguments = {
        "y": y,
        "slope": (torch.rand(outputs) / kernel).numpy(),
        "offset": torch.randn(outputs).numpy(),
        "residual": stored(torch.randn(n, *out, outputs), storage) if draw(st.booleans()) else None,
        "activation": activation,
        "parameters": parameters,
        "threshold": None,
    }
    if activation != RPRELU:
        arguments["z"] = None
    mine, theirs = both(passes, "normalize", arguments, results)
    step = 2.0**-8 if storage == "bfloat16" else 2.0**-22
    for name in results.keys() - {"bits", "statistics"}:
        torch.testing.assert_close(values(mine[name]), values(theirs[name]), rtol=step, atol=1e-5)
    np.testing.assert_allclose(mine["statistics"], theirs["statistics"], rtol=0.02, atol=0.05)
    differing = np.unpackbits((mine["bits"] ^ theirs["bits"]).view(np.uint8)).sum()
    near = int((values(theirs["x"]).abs() < 1e-5).sum())
    assert differing <= near

    dz = stored(torch.randn(n, *out, outputs), storage)
    mean = torch.randn(outputs).numpy()
    arguments = {
        "g": dz,
        "x": theirs["z" if activation == RPRELU else "x"],
        "activation": activation,
        "parameters": parameters,
        "y": y,
        "mean": mean,
    }
    results = {"dz": store, "sums": np.zeros((4, outputs))}
    mine, theirs = both(passes, "gradient", arguments, results)
    torch.testing.assert_close(values(mine["dz"]), values(theirs["dz"]), rtol=step, atol=1e-6)
    np.testing.assert_allclose(mine["sums"], theirs["sums"], rtol=step, atol=0.01 * np.abs(theirs["sums"]).max() + 1e-4)

    estimator = draw(st.integers(0, 5))
    more = {TANH: [2.0, 1.5], SWISH: [5.0], STAIRCASE: [-1.5, 0.25, 15.0]}.get(estimator)
    samples = None
    if estimator == STAIRCASE:
        samples = np.stack([np.full(n, 1.3), np.full(n, 0.1), np.full(n, 0.01), np.zeros(n)], 1).astype(np.float32)
    k = torch.randn(3, outputs).numpy()
    k[1] *= 0.01
    arguments = {
        "shape": shape,
        "dz": dz,
        "y": y,
        "k": k,
        "weight": signs,
        "bits": bits,
        "estimator": estimator,
        "estimator_parameters": None if more is None else np.array(more, np.float32),
        "source": stored(x, storage),
        "front_y": None,
        "front_slope": None,
        "front_offset": None,
        "threshold": None,
        "samples": samples,
        "shortcut": stored(torch.randn(n, height, width, channels), storage) if draw(st.booleans()) else None,
        "activation": NONE,
        "parameters": None,
        "front_z": None,
        "front_mean": None,
        "sums": None,
        "levels": 255,
    }
    results = {
        "dw": np.zeros((outputs, kernel, kernel, channels), np.float32),
        "output": np.zeros_like(store, shape=(n, height, width, channels)),
    }
    draws: list[dict[str, Tensor]] = []
    for seed in range(30):
        mine = {name: np.zeros_like(value) for name, value in results.items()}
        passes.backward(seed=seed, **arguments, **mine)
        draws.append({name: values(value) for name, value in mine.items()})
    ORACLE.backward(seed=0, **arguments, **results)
    g = k[0] * values(dz).numpy() + k[1] * y + k[2]
    level = (g.max() - g.min()) / 255
    for name, terms in (("dw", n * out[0] * out[1]), ("output", kernel * kernel * outputs)):
        each = torch.stack([found[name] for found in draws])
        wanted = values(results[name])
        largest = float(wanted.abs().max())
        slope = {TANH: 3.0, SWISH: 5.0, STAIRCASE: 4.0}.get(estimator, 2.0) if name == "output" else 1.0
        if name == "dw" or estimator != STAIRCASE:
            assert float((each - wanted).abs().max()) <= slope * terms * level + 2 * step * (largest + 1)
        spread = slope * level / 2 * (terms / len(draws)) ** 0.5  # at most
        assert float((each.mean(0) - wanted).abs().max()) <= 6 * spread + 2 * step * (largest + 1), name


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
@settings(max_examples=10, deadline=None)
@given(
    batch=st.integers(1, 3),
    sides=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    channels=st.integers(1, 40),
    zeros=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    side=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_shortcuts_are_the_oracles(
    isa: str,
    storage: str,
    batch: int,
    sides: tuple[int, int],
    channels: int,
    zeros: tuple[int, int],
    side: int,
    seed: int,
) -> None:
    assume(min(sides) >= side)
    torch.manual_seed(seed)
    x = stored(torch.randn(batch, *sides, channels), storage)
    wide = stored(torch.randn(batch, *(length // side for length in sides), zeros[0] + channels + zeros[1]), storage)
    step = 2.0**-8 if storage == "bfloat16" else 2.0**-22
    passes = _engine.Fused(2, isa)
    for name, source, result in (("shortcut", "x", ("output", wide)), ("shortcut_gradient", "gradient", ("x", x))):
        arguments = {source: x if source == "x" else wide, "side": side, "before": zeros[0]}
        mine, theirs = both(passes, name, arguments, dict([result]))
        torch.testing.assert_close(values(mine[result[0]]), values(theirs[result[0]]), rtol=step, atol=1e-6)


def rounded(passes: Any, dz: Any, levels: int, seed: int) -> Tensor:
    """A gradient of two channels (batch, height, width, 2) on levels: from the sum and the difference of both."""
    output = np.empty_like(dz)
    passes.backward(
        shape=(*dz.shape, *dz.shape[1:], 1, 1, 1, 1, 0, 0),
        dz=dz,
        y=np.zeros(dz.shape, np.int16),
        k=np.array([[1, 1], [0, 0], [0, 0]], np.float32),
        levels=levels,
        seed=seed,
        weight=np.array([[[[0]]], [[[2]]]], np.int32),
        bits=np.zeros((*dz.shape[:3], 1), np.int32),
        dw=None,
        output=output,
        estimator=IDENTITY,
        estimator_parameters=None,
        source=None,
        front_y=None,
        front_slope=None,
        front_offset=None,
        threshold=None,
        samples=None,
        shortcut=None,
        activation=NONE,
        parameters=None,
        front_z=None,
        front_mean=None,
        sums=None,
    )
    return torch.from_numpy(np.stack([output[..., 0] + output[..., 1], output[..., 0] - output[..., 1]], -1)) / 2


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 9), (40, 33)])
def test_neighbours_are_rounded_independently(isa: str, height: int, width: int) -> None:
    """Neighbours in a sample, in the samples and channels beside it, and in the next chunk of samples."""
    dz = np.full((40, height, width, 2), 0.5, np.float32)
    dz[0, 0, 0] = 0, 1  # the levels
    draws = [rounded(_engine.Fused(threads, isa), dz, 1, seed) for threads, seed in ((1, 5), (2, 5), (1, 6))]
    found, again, other = draws
    assert bool(((found == 0) | (found == 1)).all())
    assert torch.equal(found, again)
    error = 6 * 0.5 / found.numel() ** 0.5
    assert abs(float(found.mean()) - 0.5) <= error
    assert abs(float((found == other).double().mean()) - 0.5) <= error
    chunk = min(16, max(1, 1024 // (height * width)))
    lags = itertools.product({0, 1, chunk}, (0, 1), (-1, 0, 1, 2), (0, 1))
    for lag in set(lags) - {(0, 0, 0, 0)}:
        same = (found == found.roll(lag, (0, 1, 2, 3))).double().mean()
        assert abs(float(same) - 0.5) <= 1.5 * error, lag  # some of these pairs count twice


@pytest.mark.parametrize("isa", ISAS)
def test_small_gradients_are_rounded_up_as_seldom_as_they_ask_for(isa: str) -> None:
    share = 2.0**-10
    dz = np.full((1, 256, 512, 2), share, np.float32)
    dz[0, 0, 0] = 0, 1  # the levels
    found = rounded(_engine.Fused(1, isa), dz, 1, seed=0)
    assert abs(float(found.mean()) - share) <= 6 * (share / found.numel()) ** 0.5


@pytest.mark.parametrize("isa", ISAS)
def test_highest_gradients_stay_on_the_highest_level(isa: str) -> None:
    """Float arithmetic brings them above it, and the most of the noise to the next one, which no byte holds."""
    highest = 1.890625
    dz = np.full((1, 256, 512, 2), highest, np.float32)
    dz[0, 0, 0] = 0
    found = rounded(_engine.Fused(1, isa), dz, 255, seed=0)
    found[0, 0, 0] = highest
    torch.testing.assert_close(found, torch.full_like(found, highest))
