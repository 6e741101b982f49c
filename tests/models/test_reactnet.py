"""ReActNet-A, -B and -C: the published operations, the two branches, and a training step that exports."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from onebit import cost, models
from onebit.models.reactnet import MobileBlock, Twice
from tests.deploy.nets import assert_same_answer

pytestmark = pytest.mark.usefixtures("one_thread")

# OPs = BOPs / 64 + FLOPs, as published. The paper's 1.63e8 for B is not what 4 groups give, see the next test.
PUBLISHED = {"reactnet_a": 0.87e8, "reactnet_c": 2.14e8}


def operations(name: str) -> dict[str, float]:
    net = models.create(name, num_classes=1000)
    return cost.count(net, torch.zeros(1, *net.input_shape)).inference


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_operations_are_the_published_ones(name: str) -> None:
    assert operations(name)["ops"] == pytest.approx(PUBLISHED[name], abs=0.005e8)


@pytest.mark.slow
def test_four_groups_take_a_quarter_of_the_real_valued_operations() -> None:
    a, b, c = (operations(f"reactnet_{letter}") for letter in "abc")
    assert b["flops"] - a["flops"] == (c["flops"] - a["flops"]) / 4
    assert b["bops"] == c["bops"]
    assert b["ops"] == pytest.approx(1.17e8, abs=0.005e8)


def test_one_wide_convolution_is_the_two_of_the_paper() -> None:
    """Two 1×1 convolutions of one binary input, each with BatchNorm and shortcut, side by side."""
    torch.manual_seed(0)
    block = MobileBlock(8, 16, 2, 0, full_precision=False).eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            nn.init.normal_(module.weight)
    x = torch.randn(2, 8, 6, 6)
    with torch.no_grad():
        y = block.activation1(block.norm1(block.conv1(x)) + nn.functional.avg_pool2d(x, 2))
        bits = block.conv2.input_quantizer(y)
        branches = []
        for half in (slice(0, 8), slice(8, 16)):
            w = block.conv2.weight[half]
            product = nn.functional.conv2d(bits, w.abs().mean((1, 2, 3), keepdim=True) * w.sign())
            norm = block.norm2
            statistics = (part[half] for part in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
            branches.append(nn.functional.batch_norm(product, *statistics) + y)
        torch.testing.assert_close(block(x), block.activation2(torch.cat(branches, 1)))
        assert torch.equal(Twice(8)(y), torch.cat([y, y], 1))


@pytest.mark.slow
@pytest.mark.learning
@pytest.mark.parametrize("name", ["reactnet_a", "reactnet_b", "reactnet_c"])
def test_trains_a_step_and_answers_the_same_packed(
    name: str, tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    torch.manual_seed(seed)
    net = models.create(name, num_classes=4, input_size=32, width=8)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 4
    losses = []
    for _ in range(5):
        loss = nn.functional.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    record_property("loss, of the first", losses[-1] / losses[0])
    assert losses[-1] < losses[0]
    assert_same_answer(net.eval(), tmp_path, x)
