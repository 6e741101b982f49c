"""Weights from files of others: data, never code, and one line for what is wrong."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from onebit.errors import OnebitError
from onebit.training.weights import load_weights, read_weights


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no weights"),
        ([1, 2], "holds no weights"),
        ({"state_dict": {}}, "holds no weights"),
        ({"weight": torch.ones(1), "epoch": 3}, "holds no weights: epoch"),
        ({3: torch.ones(1)}, "holds no weights"),
    ],
)
def test_what_is_not_a_state_dict_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(OnebitError, match=message):
        read_weights(tmp_path / "w.pth")


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1000)}, tmp_path / "w.pth")
    whole = (tmp_path / "w.pth").read_bytes()
    for share in (0.0, 0.5, 0.99):
        (tmp_path / "cut.pth").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(OnebitError, match="damaged or not a checkpoint"):
            read_weights(tmp_path / "cut.pth")
    with pytest.raises(OnebitError, match="no such checkpoint"):
        read_weights(tmp_path / "nowhere.pth")


def test_no_code_of_a_file_runs(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "it ran",)

    torch.save({"weight": Bomb()}, tmp_path / "w.pth")
    with pytest.raises(OnebitError, match="damaged or not a checkpoint"):
        read_weights(tmp_path / "w.pth")
    assert not (tmp_path / "it ran").exists()


def test_a_network_that_does_not_fit_stays_as_it_is(tmp_path: Path) -> None:
    net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(5)))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.save({"0.weight": torch.zeros(2, 2), "1.weight": torch.zeros(3, 2), "extra": torch.zeros(1)}, tmp_path / "w")
    with pytest.raises(OnebitError) as caught:
        load_weights(net, tmp_path / "w")
    message = str(caught.value)
    assert "it lacks 0.bias, 1.bias, 2.weight, 2.bias, 3.weight, 3.bias and 2 more" in message
    assert "unknown: extra" in message
    assert "other shapes: 1.weight (3, 2) for (2, 2)" in message
    assert "\n" not in message
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())
    torch.save({"0.weight": torch.zeros(2, 2), "0.bias": torch.zeros(2)}, tmp_path / "w")
    with pytest.raises(OnebitError, match=r"it lacks 1\.weight, 1\.bias \("):
        load_weights(net, tmp_path / "w", new=["[234].*"])
