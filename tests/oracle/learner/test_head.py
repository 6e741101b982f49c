"""The quantised reference: its parts against real numbers, and its training against the native learner, bit for bit."""

import os
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onebit import _engine
from tests.continual.digits import OLD, digits
from tests.oracle.learner.head import Factor, QuantizedCWRStar, integer_softmax, noise16, quantize_weights, round_div
from tests.runtime.packed import write_backbone

PAGE, HEADER, NAME = 4096, 64, 64


@given(st.integers(-(2**40), 2**40), st.integers(1, 2**30))
def test_division_rounds_to_nearest_even(n: int, d: int) -> None:
    assert int(round_div(torch.tensor(n), d)) == round(Fraction(n, d))


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_weights_stay_within_half_a_step(values: list[int]) -> None:
    levels, span = quantize_weights(torch.tensor(values))
    if span == 0:
        assert not any(values)
        assert not levels.any()
        return
    step = 52 * span / (50 * 255)
    assert (levels.abs() <= 255).all()
    assert (levels * step - torch.tensor(values)).abs().max() <= step / 2 + 1e-9
    assert quantize_weights(torch.tensor([0, *values]))[0][0] == 0


@given(st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=30), st.floats(1e-9, 1e-3))
def test_integer_softmax_is_near_the_real_one(scores: list[int], scale: float) -> None:
    rows = torch.tensor([scores])
    p = integer_softmax(rows, Factor.of(scale * 1.4426950408889634), 255)
    assert (p / 255 - torch.softmax(rows.double() * scale, dim=1)).abs().max() <= 0.5 / 255 + 2e-5


def test_noise_is_uniform() -> None:
    noise = noise16(12345, 1 << 18).double() / 65536
    assert abs(noise.mean() - 0.5) < 0.003
    assert torch.histc(noise, 16).std() / len(noise) * 16 < 0.03


def native_state(
    path: Path, width: int, max_classes: int, max_experiences: int
) -> tuple[dict[str, tuple[int, list[int]]], int]:
    """Reads the newest commit as docs/learner.md states it: name -> (past, row), and the generator's state."""
    content = path.read_bytes()
    size = 16 + 8 * max_experiences + max_classes * (NAME + 4 + 2 * width)
    slot = -(-(HEADER + size) // PAGE) * PAGE
    newest = max(range(PAGE, len(content), slot), key=lambda at: struct.unpack_from("<Q", content, at + 8)[0])
    at = newest + HEADER
    random, _ = struct.unpack_from("<QQ", content, at)
    at += 16 + 8 * max_experiences
    classes = {}
    for _ in range(max_classes):
        name = content[at : at + NAME].rstrip(b"\0").decode()
        past, *row = struct.unpack_from(f"<I{width}h", content, at + NAME)
        if name:
            classes[name] = past, row
        at += NAME + 4 + 2 * width
    return classes, random


@pytest.mark.parametrize(
    ("bias", "range_", "seed"), [(True, (-3.0, 4.5), 0), (False, (0.0, 2.0), 7), (True, (-5.0, 0.5), 2**63)]
)
def test_the_native_learner_gives_the_same_bits(
    tmp_path: Path, bias: bool, range_: tuple[float, float], seed: int
) -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(3, 21, generator=generator) * 0.2
    offset = torch.randn(3, generator=generator) if bias else None
    path = write_backbone(tmp_path / "m.obn", weight, offset, range_, ["0", "1", "2"], [30, 40, 50])
    model = _engine.Model(os.fsencode(path))
    state = tmp_path / "state"
    _engine.Learner.create(os.fsencode(state), model.handle, 8, 4, 2, seed, 0)
    native = _engine.Learner(os.fsencode(state), model.handle)
    options = {"steps": 17, "batch": 8, "learning_rate": 0.13}
    reference = QuantizedCWRStar(weight, offset, [30, 40, 50], range_, 5, seed=seed, **options)
    for experience, classes in enumerate([(3,), (1, 4), (0, 1, 2, 3)]):
        labels = torch.tensor(sorted(classes * 9))
        centre = torch.linspace(*range_, 21).roll(3) * (labels[:, None] - 2) / 2
        features = (centre + torch.randn(len(labels), 21, generator=generator)).float()
        names = [str(int(j)) for j in labels]
        assert native.prepare(features.numpy(), names, str(experience), 17, 8, 0.13, 1, 0.01, 1)
        native.commit()
        reference.learn(features, labels)
        classes_now, random = native_state(state, reference.cw.shape[1], 8, 4)
        assert random == reference.random.state
        for name, (past, row) in classes_now.items():
            assert past == reference.past[int(name)]
            assert row == reference.cw[int(name)].tolist()
        seen = [int(name) for name, _ in native.classes]
        shares = np.empty((len(features), len(seen)), np.uint32)
        native.predict(features.numpy(), shares)
        predicted = torch.tensor(seen)[torch.from_numpy(shares.astype(np.int64)).argmax(dim=1)]
        best = np.sort(shares, axis=1)
        clear = torch.from_numpy(best[:, -1] > best[:, -2])
        assert (predicted == reference.predict(features))[clear].all()


@pytest.mark.slow
@pytest.mark.learning
def test_the_real_softmax_teaches_the_same(seed: int, record_property: Callable[[str, object], None]) -> None:
    """The paper's float simulation and the integers end within a few of the 255 levels, and at the same accuracy."""
    data = digits(seed)
    old = data.indices(data.train, 0, OLD)
    range_ = float(data.features[old].min()), float(data.features[old].max())
    heads = []
    for real in (False, True):
        head = QuantizedCWRStar(
            data.net.head.weight.detach(),
            data.net.head.bias.detach(),
            data.samples,
            range_,
            10,
            seed=seed,
            real_softmax=real,
        )
        for low in (6, 8):
            taught = data.indices(data.train, low, low + 2)
            head.learn(data.features[taught], data.labels[taught])
        heads.append(head)
    span = float(heads[0].cw.max() - heads[0].cw.min())
    weights = float((heads[0].cw - heads[1].cw).abs().max()) / span
    record_property("weights, difference", weights)
    rights = []
    for name, low, high in (("old", 0, OLD), ("new", OLD, 10)):
        asked = data.indices(data.test, low, high)
        right = [float((head.predict(data.features[asked]) == data.labels[asked]).float().mean()) for head in heads]
        record_property(name, min(right))
        record_property(f"{name}, difference", abs(right[0] - right[1]))
        rights.append(right)
    assert weights < 0.01
    assert min(map(min, rights)) >= 0.65
    assert max(abs(a - b) for a, b in rights) < 0.03
