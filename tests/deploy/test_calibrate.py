"""What the engine makes of a graph, against the exported model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import onebit
from onebit import deploy, models
from onebit.deploy import calibrate
from onebit.format.graph import Graph
from onebit.format.writer import write
from tests.deploy.nets import randomize

IMAGES = torch.randn(150, 1, 8, 8, generator=torch.Generator().manual_seed(0))  # two batches, and some


@pytest.fixture
def graph() -> Graph:
    torch.manual_seed(0)
    return deploy.build(randomize(models.create("small", width=8), 0), IMAGES)


def channels_last(y: np.ndarray) -> np.ndarray:
    return y[:, None, None] if y.ndim == 2 else y.transpose(0, 2, 3, 1)


def test_values_are_those_of_the_model(graph: Graph, tmp_path: Path) -> None:
    values = [node.output for node in graph.nodes if not node.output.bits]
    named = {f"v{index}": value for index, value in enumerate(values)}
    write(tmp_path / "m.obn", replace(graph, outputs=named), {})
    model = onebit.load(tmp_path / "m.obn")
    named_before = list(graph.outputs)
    batches = list(calibrate.outputs(graph, IMAGES, values, "running"))
    assert [len(batch[0]) for batch in batches] == [64, 64, 22]
    for name, ys in zip(named, zip(*batches, strict=True), strict=True):
        assert np.array_equal(np.concatenate(ys), channels_last(model(IMAGES.numpy(), name)))
    assert list(graph.outputs) == named_before


@pytest.mark.parametrize("at_a_time", [2, 64])
def test_ranges(at_a_time: int, graph: Graph, monkeypatch) -> None:
    monkeypatch.setattr(calibrate, "MAX_OUTPUTS", at_a_time)
    values = [node.output for node in graph.nodes if not node.output.bits]
    wanted = [graph.input, *values, values[0], graph.input]
    ys = [np.concatenate(y) for y in zip(*calibrate.outputs(graph, IMAGES, values, "running"), strict=True)]
    expected = [(y.min(), y.max()) for y in ys]
    pixels = float(IMAGES.min()), float(IMAGES.max())
    assert calibrate.ranges(graph, IMAGES, wanted) == [pixels, *expected, expected[0], pixels]
