"""The table of docs/cost.md is what the ledger says."""

from pathlib import Path

import pytest
import torch

from onebit import cost, methods, models

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"
NETWORKS = {
    "ResNet-20, CIFAR": "resnet20_cifar",
    "ResNet-18, CIFAR": "resnet18_cifar",
    "ResNet-18, ImageNet": "resnet18_imagenet",
}
BITS = {"CycleBNN 2–6 bits, g = 8": (2, 6), "constant 4 bits, g = 8": (4, 4), "binary, 32-bit gradients": None}


def rows() -> list[list[str]]:
    """Network, method and the three figures of each row."""
    found, network = [], ""
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[1] in BITS:
            network = cells[0] or network
            found.append([network, *cells[1:]])
    return found


def test_no_row_is_missed() -> None:
    assert len(rows()) == len(NETWORKS) * len(BITS)


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]}, {row[1]}")
def test_the_row_is_what_is_counted(row: list[str]) -> None:
    net = models.create(NETWORKS[row[0]])
    bits = BITS[row[1]]
    method = None
    if bits is not None:
        method = methods.CycleBNN(bits=bits)
        method.attach(net)
    ledger = cost.count(net, torch.zeros(1, *net.input_shape), method)
    paper = ledger.paper_formula_saved_percent
    counted = [ledger.saved_percent, ledger.charged_saved_percent]
    assert row[2:4] == [f"{value:.2f}" for value in counted]
    assert row[4] == ("–" if paper is None else f"{paper:.2f}")
