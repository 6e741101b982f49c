"""The floor, the layers and the processes of benchmarks/training_step.py."""

import sys
from pathlib import Path

import pytest
import torch
import training_floor
import training_step
from training_floor import Layer, floor, layers
from training_step import Process, floor_shares, make_step, ratios, spread

RATES = {"binary": 1e12, "levels": 1e11, "bytes": 1e10}


def test_layers_of_the_networks() -> None:
    found = layers("resnet18_cifar")
    assert sum(found.values()) == 16
    assert found[Layer(32, 64, 64, 1, outer=True, front_outer=False)] == 2
    assert found[Layer(32, 64, 128, 2, outer=False, front_outer=True)] == 1
    found = layers("resnet20_cifar")
    assert sum(found.values()) == 18
    assert sum(count for layer, count in found.items() if layer.outer) == 9


def test_a_pass_takes_the_longer_of_products_and_bytes() -> None:
    outer = Layer(32, 64, 128, 2, outer=True, front_outer=True)
    inputs, outputs = 8 * 1024 * 64, 8 * 256 * 128
    products = 9 * outputs * 64
    found = floor(outer, 8, 2, RATES, "bfloat16")
    assert found["convolve"] == pytest.approx(1e3 * products / 2e12)
    assert found["normalize"] == pytest.approx(1e3 * outputs * (2 + 2 + 2 + 1 / 8) / 1e10)
    backward = 2 * products / 2e11 + 2 * outputs * (2 + 2) / 1e10
    assert found["backward"] == pytest.approx(1e3 * backward)
    slow = floor(outer, 8, 2, {**RATES, "bytes": 1e8}, "float32")
    assert slow["convolve"] == pytest.approx(1e3 * (2 * outputs + inputs / 8) / 1e8)
    assert slow["backward"] == pytest.approx(1e3 * (products / 2e11 + (12 * outputs + 12 * inputs) / 1e8))
    inner = floor(Layer(32, 64, 128, 2, outer=False, front_outer=False), 8, 2, {**RATES, "bytes": 1e8}, "float32")
    assert inner["normalize"] == pytest.approx(1e3 * outputs * (2 + 1 / 8) / 1e8)
    assert inner["backward"] == pytest.approx(1e3 * (products / 2e11 + (12 * outputs + 6 * inputs) / 1e8))


@pytest.mark.parametrize("storage", ["bfloat16", "float32"])
@pytest.mark.parametrize(("outer", "front_outer"), [(True, False), (False, True), (True, True)])
def test_the_passes_run(storage: str, outer: bool, front_outer: bool) -> None:
    took = training_floor.times(Layer(8, 16, 16, 1, outer, front_outer), 4, 1, storage, 1)
    assert took is not None
    assert took.keys() == floor(Layer(8, 16, 16, 1, outer, front_outer), 4, 1, RATES, storage).keys()
    assert min(took.values()) > 0


def test_ratios_are_taken_within_a_round() -> None:
    one, other = ("binary", training_step.FUSED), ("binary", training_step.BASELINE)
    found = ratios({one: [1.0, 20.0, 3.0], other: [2.0, 40.0, 6.0]})
    assert list(found) == ["binary, native fused, bfloat16 / binary, baseline native"]
    assert found["binary, native fused, bfloat16 / binary, baseline native"] == spread([0.5, 0.5, 0.5])


def test_the_floor_s_share_counts_every_layer() -> None:
    layer = {"count": 3, "floor_ms": {"bfloat16": {"convolve": 1.0, "backward": 2.0}, "float32": {"convolve": 9.0}}}
    result = {"steps_ms": {"binary, native fused, bfloat16": {"least": 18.0}}, "layers": [layer]}
    assert floor_shares(result) == {"bfloat16": 0.5}


@pytest.mark.parametrize("kind", ["full precision", "binary", "CycleBNN"])
def test_a_step_changes_the_weights(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    create = training_step.models.create
    monkeypatch.setattr(training_step.models, "create", lambda *a, **k: made.append(create(*a, **k)) or made[-1])
    step = make_step("resnet20_cifar", kind, "PyTorch float32", 4, 1)
    before = {name: value.clone() for name, value in made[0].named_parameters()}
    step(4)
    assert all(not torch.equal(before[name], value) for name, value in made[0].named_parameters())


@pytest.mark.slow
def test_loading_gives_a_batch_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    call = training_step.Transform.__call__
    monkeypatch.setattr(training_step.Transform, "__call__", lambda *a: seen.append(call(*a)) or seen[-1])
    step = make_step("resnet20_cifar", "loading", "flip_crop", 25_000, 1)
    for _ in range(3):  # into the next epoch
        step(2)
    assert [len(images) for images in seen] == [25_000] * 3
    assert not torch.equal(seen[0], seen[2])


@pytest.mark.slow
def test_a_process_says_its_memory_and_steps() -> None:
    process = Process(Path(sys.executable), ["resnet20_cifar", "binary", "PyTorch float32", "16", "1"])
    assert process.refusal is None
    seen = 16 * 32 * 32 * 16 * 4  # a float32 tensor of the first stage; several of each block are kept
    assert 10 * seen < process.memory_bytes < 1000 * seen
    assert process.step() > 0
    process.end()


def test_a_contender_that_is_not_there_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_step.onebit.nn, "use_native", lambda net, threads=None, isa="": None)
    with pytest.raises(training_step.Refusal, match="use_native takes no storage"):
        make_step("resnet20_cifar", "binary", training_step.FUSED, 4, 1)
