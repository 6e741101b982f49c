"""The tail in integers: its forward pass, what it learns, its memory, and the native learner, bit for bit."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import onebit
from onebit import OnebitError, continual
from onebit.format.writer import pack_bits
from tests.continual.cut_digits import CutDigits, cut_digits
from tests.oracle.learner.convolutions import BinaryConvolution, Convolution, RealConvolution
from tests.oracle.learner.head import QuantizedCWRStar
from tests.oracle.learner.network import QuantizedTail, QuantizedTailLearner
from tests.oracle.learner.nodes import Node
from tests.oracle.learner.packed_tail import PackedTail, read_tail

pytestmark = pytest.mark.usefixtures("one_thread")

WEAK = 2  # a backbone that saw two digits has few features of the others: the tail has something to learn


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Path:
    file = tmp_path_factory.mktemp("tail") / "m.obn"
    cut_digits(WEAK, seed).export(file, 200)
    return file


@pytest.fixture(scope="module")
def packed(path: Path) -> PackedTail:
    return read_tail(path)


@pytest.fixture(scope="module")
def latents(path: Path) -> Tensor:
    data = cut_digits(WEAK)
    return torch.from_numpy(data.latents(path, torch.arange(len(data.labels))))


def accuracy(learner: continual.Strategy, data: CutDigits, inputs: Tensor, high: int) -> float:
    asked = data.indices(data.test, 0, high)
    return float((learner.predict(inputs[asked]) == data.labels[asked]).float().mean())


@pytest.mark.slow
@pytest.mark.learning
def test_the_features_are_near_those_of_the_engine(
    path: Path, packed: PackedTail, latents: Tensor, record_property: Callable[[str, object], None]
) -> None:
    """Not equal: values of 8 bits put some on the other side of a threshold."""
    data = cut_digits(WEAK)
    tail = QuantizedTail(packed)
    levels = tail.forward(latents < 0).double() * tail.levels[packed.features].step
    features = torch.from_numpy(onebit.load(path)(data.images.numpy(), "features")).flatten(1).double()
    error = float((levels - features).abs().mean() / features.abs().mean())
    correlation = float(torch.corrcoef(torch.stack([levels.flatten(), features.flatten()]))[0, 1])
    record_property("error", error)
    record_property("correlation", correlation)
    assert error < 0.4
    assert correlation > 0.9


def test_a_file_without_a_tail_is_refused(tmp_path: Path) -> None:
    data = cut_digits(WEAK)
    onebit.deploy.export(data.net, tmp_path / "plain.obn", data.images[:8])
    with pytest.raises(OnebitError, match="no tail"):
        read_tail(tmp_path / "plain.obn")


@pytest.mark.slow
@pytest.mark.learning
def test_a_tail_that_learns_beats_one_that_does_not(
    path: Path, packed: PackedTail, latents: Tensor, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """Four digits after two."""
    data = cut_digits(WEAK)
    weight, bias = torch.from_numpy(packed.weight), torch.from_numpy(packed.bias)
    features = torch.from_numpy(onebit.load(path)(data.images.numpy(), "features")).flatten(1)
    learners = {
        "head": (
            QuantizedCWRStar(weight, bias, packed.samples, packed.ranges[packed.features], 10, seed=seed),
            features,
        ),
        "replay": (QuantizedTailLearner(packed, 10, capacity=200, tail_rate=0.0, seed=seed), latents),
        "tail": (QuantizedTailLearner(packed, 10, capacity=200, seed=seed), latents),
    }
    found = {}
    for name, (learner, inputs) in learners.items():
        for low in (2, 4):
            taught = data.indices(data.train, low, low + 2)[:100]
            learner.learn(inputs[taught], data.labels[taught])
        found[name] = accuracy(learner, data, inputs, 6)
    record_property("tail", found["tail"])
    record_property("tail, more than replay", found["tail"] - found["replay"])
    record_property("tail, more than head", found["tail"] - found["head"])
    assert found["tail"] >= 0.6
    assert found["tail"] > found["replay"]
    assert found["tail"] > found["head"]


def test_a_mini_batch_without_new_samples_is_refused(packed: PackedTail) -> None:
    with pytest.raises(OnebitError, match="a mini-batch of 30 has no new sample beside 36"):
        QuantizedTailLearner(packed, 4, batch=30, replayed=36)


def test_without_a_rate_the_tail_stays(packed: PackedTail, latents: Tensor) -> None:
    data = cut_digits(WEAK)
    learner = QuantizedTailLearner(packed, 4, epochs=1, tail_rate=0.0)
    before = learner.tail.forward(latents[:20] < 0)
    taught = data.indices(data.train, 2, 4)[:30]
    learner.learn(latents[taught], data.labels[taught])
    assert torch.equal(learner.tail.forward(latents[:20] < 0), before)
    learner.tail_rate = 0.01
    learner.learn(latents[taught], data.labels[taught])
    assert not torch.equal(learner.tail.forward(latents[:20] < 0), before)


def test_the_memory_keeps_its_capacity(packed: PackedTail, latents: Tensor) -> None:
    data = cut_digits(WEAK)
    learner = QuantizedTailLearner(packed, 10, capacity=60, epochs=1, tail_rate=0.001)
    assert len(learner.items) == 60  # of 200 in the file, evenly spread over it
    assert torch.equal(learner.items, torch.from_numpy(packed.replay)[torch.arange(60) * 200 // 60])
    for experience, low in enumerate((2, 4, 6, 8)):
        before = learner.items.clone()
        taught = data.indices(data.train, low, low + 2)[:40]
        learner.learn(latents[taught], data.labels[taught])
        replaced = 60 // (experience + 2)
        fresh = torch.isin(learner.item_labels, torch.tensor([low, low + 1]))
        assert int(fresh.sum()) == min(replaced, 40)
        assert torch.equal(learner.items[~fresh], before[~fresh])
        for bits, label in zip(learner.items[fresh], learner.item_labels[fresh], strict=True):
            same = (latents[taught] < 0).eq(bits).flatten(1).all(dim=1)
            assert label in data.labels[taught][same]


def test_free_places_are_taken_first(packed: PackedTail, latents: Tensor) -> None:
    data = cut_digits(WEAK)
    learner = QuantizedTailLearner(packed, 10, capacity=230, epochs=1, tail_rate=0.001)
    old = learner.items.clone()
    taught = data.indices(data.train, 2, 4)[:120]
    learner.learn(latents[taught], data.labels[taught])
    assert len(learner.items) == 230
    # 230 / 2 = 115 are taken in: 30 in free places, 85 in others, which may be among the 30
    kept = (learner.items[:200] == old).flatten(1).all(dim=1)
    assert 200 - 85 <= int(kept.sum()) < 200
    assert (learner.item_labels[200:] >= 2).all()


def test_samples_of_a_class_count_with_its_items(packed: PackedTail, latents: Tensor) -> None:
    data = cut_digits(WEAK)
    learner = QuantizedTailLearner(packed, 4, capacity=50, epochs=1)
    items = torch.bincount(learner.item_labels, minlength=4)
    taught = data.indices(data.train, 2, 4)[:30]
    learner.learn(latents[taught], data.labels[taught])
    new = torch.bincount(data.labels[taught], minlength=4)
    assert torch.equal(learner.past, torch.tensor([*packed.samples, 0, 0]) + items + new)


def test_experiences_repeat(packed: PackedTail, latents: Tensor) -> None:
    data = cut_digits(WEAK)
    taught = data.indices(data.train, 2, 4)[:40]
    learners = [QuantizedTailLearner(packed, 4, epochs=1, seed=seed) for seed in (3, 3, 4)]
    for learner in learners:
        learner.learn(latents[taught], data.labels[taught])
    assert torch.equal(learners[0].cw, learners[1].cw)
    assert not np.array_equal(learners[0].cw, learners[2].cw)


@dataclass(frozen=True)
class NativeState:
    """The newest commit of a learner's file, as docs/learner.md states it."""

    random: int
    past: dict[int, int]
    cw: dict[int, list[int]]
    weights: list[int]
    parameters: list[int]
    reals: list[int]
    item_labels: list[int]
    items: NDArray[np.uint32]

    @classmethod
    def read(
        cls, file: Path, width: int, classes: int, experiences: int, tail: tuple[int, int, int, int, int]
    ) -> "NativeState":
        """``tail``: how many latent weights, parameters, real weights, items and words of an item there are."""
        content = file.read_bytes()
        slots, size = struct.unpack_from("<IQ", content, 12)
        step = -(-(64 + size) // 4096) * 4096
        newest = max(
            (4096 + step * i for i in range(slots)), key=lambda at: struct.unpack_from("<Q", content, at + 8)[0]
        )
        payload = content[newest + 64 : newest + 64 + size]
        (random,) = struct.unpack_from("<Q", payload)
        at, past, cw = 16 + 8 * experiences, {}, {}
        for _ in range(classes):
            name = payload[at : at + 64].rstrip(b"\0").decode()
            if name:
                past[int(name)], *cw[int(name)] = struct.unpack_from(f"<I{width}h", payload, at + 64)
            at += 68 + 2 * width
        counts, types = tail, ("i1", "<i4", "<i2", "<i4", "<u4")
        found = []
        for count, kind in zip((*counts[:4], counts[3] * counts[4]), types, strict=True):
            found.append(np.frombuffer(payload, kind, count, at))
            at += found[-1].nbytes
        weights, parameters, reals, labels = (part.tolist() for part in found[:4])
        return cls(random, past, cw, weights, parameters, reals, labels, found[4].reshape(counts[3:]))


@pytest.mark.slow
@pytest.mark.parametrize("down", [False, True], ids=["straight", "narrowing"])
@pytest.mark.parametrize(("capacity", "seed", "batch"), [(200, 0, 50), (70, 2**63 + 1, 47)])
def test_the_native_learner_gives_the_same_bits(
    tmp_path: Path, capacity: int, seed: int, batch: int, down: bool
) -> None:
    data, path = cut_digits(WEAK, down=down), tmp_path / "m.obn"
    data.export(path, 200)
    packed, latents = read_tail(path), torch.from_numpy(data.latents(path, torch.arange(len(data.labels))))
    options = {"epochs": 2, "batch": batch, "learning_rate": 0.1, "tail_rate": 0.03}
    reference = QuantizedTailLearner(packed, 6, capacity=capacity, seed=seed, **options)
    convolutions = [layer for layer in reference.tail.layers if isinstance(layer, Convolution)]
    trained = [layer for layer in reference.tail.layers if isinstance(layer, Node)]
    binary = [c for c in convolutions if isinstance(c, BinaryConvolution)]
    real = [c for c in convolutions if isinstance(c, RealConvolution)]
    assert bool(real) == down
    sizes = (
        sum(c.weight.numel() for c in binary),
        sum(n.masters.numel() for n in trained),
        sum(c.weight.numel() for c in real),
    )
    first = [c.weight.clone() for c in convolutions]
    numbers = {"max_classes": 6, "max_experiences": 4, "history": 2, "seed": seed, "replay": capacity}
    with onebit.Learner.create(tmp_path / "learner", onebit.load(path), **numbers) as native:
        for experience, digits in enumerate([(2, 3), (0, 4, 5)]):
            part = [data.indices(data.train, digit, digit + 1)[: 20 + 5 * experience] for digit in digits]
            taught = torch.cat(part)
            labels = data.labels[taught]
            names = [str(label) for label in labels.tolist()]
            assert native.teach(data.images[taught].numpy(), names, experience=str(experience), **options).counted
            reference.learn(latents[taught], labels)
            state = NativeState.read(
                tmp_path / "learner" / "learner.state",
                reference.cw.shape[1],
                6,
                4,
                (*sizes, capacity, pack_bits(packed.replay[0]).size),
            )
            seen = list(state.past)
            assert state.random == reference.random.state
            assert list(state.past.values()) == reference.past[seen].tolist()
            assert list(state.cw.values()) == reference.cw[seen].tolist()
            assert state.weights == [w for c in binary for w in c.weight.flatten().tolist()]
            assert state.reals == [w for c in real for w in c.weight.flatten().tolist()]
            assert state.parameters == torch.cat([n.masters.flatten() for n in trained]).tolist()
            held = len(reference.items)
            assert state.item_labels == [*reference.item_labels.tolist(), *[-1] * (capacity - held)]
            assert np.array_equal(state.items[:held], pack_bits(reference.items.numpy()).reshape(held, -1))
        asked = data.indices(data.test, 0, 6)
        shares = native.scores(data.images[asked].numpy())
    best = np.sort(shares, axis=1)
    clear = torch.from_numpy(best[:, -1] > best[:, -2])
    predicted = torch.tensor(seen)[torch.from_numpy(shares).argmax(dim=1)]
    assert (predicted == reference.predict(latents[asked]))[clear].all()
    assert clear.any()
    assert all((c.weight != w).any() for c, w in zip(convolutions, first, strict=True))
