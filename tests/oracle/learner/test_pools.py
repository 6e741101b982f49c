"""Pools and channels of zeros in levels, against PyTorch in float."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from onebit.format.codes import Op
from tests.oracle.learner.arithmetic import Gradient, Levels
from tests.oracle.learner.packed_tail import PackedNode
from tests.oracle.learner.pools import UNTRAINED, Untrained

SEEDS = st.integers(0, 2**32 - 1)
SIDES = st.tuples(st.integers(1, 3), st.integers(1, 3))


def made(op: int, attributes: list[int], source: Levels, out: Levels) -> Untrained:
    return UNTRAINED[op](PackedNode(op, [0], 1, [], attributes), source, out)


def levels(seed: int, *shape: int) -> Tensor:
    return torch.randint(-9, 10, shape, generator=torch.Generator().manual_seed(seed))


def through(function, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """What ``function`` makes of x, (N, h, w, c), and its gradient for g of the output."""
    x = x.double().requires_grad_()
    y = function(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    y.backward(g.double()[:, : y.shape[1], : y.shape[2], : y.shape[3]])
    assert x.grad is not None
    return y.detach(), x.grad


@given(SEEDS, SIDES, SIDES)
def test_means(seed: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    x, g = levels(seed, 2, 5, 4, 3), levels(seed + 1, 2, 5, 4, 3)
    node = made(Op.AVERAGE_POOL, [*kernel, *stride, 0, 0, 0, 0, 0], Levels(0.5, 128), Levels(0.125, 128))
    y, gradient = through(lambda v: functional.avg_pool2d(v, kernel, stride), x, g)
    assert (node.forward(x) - 4 * y).abs().max() <= 0.5
    found = node.backward(Gradient(g[:, : y.shape[1], : y.shape[2]], 0.25), x)
    given_ = 0 if found is None else found.levels.double() * found.unit
    assert (given_ - gradient * 0.25).abs().max() < 1e-12


@given(SEEDS, SIDES, SIDES)
def test_maxima_and_the_first_of_equal_ones(seed: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    x, g = levels(seed, 2, 5, 4, 3), levels(seed + 1, 2, 7, 6, 3)
    padding = [(side - 1) // 2 for side in kernel]
    attributes = [*kernel, *stride, *padding, *padding]
    node = made(Op.MAX_POOL, attributes, Levels(0.5, 128), Levels(0.5, 128))
    y, _ = through(lambda v: functional.max_pool2d(v, kernel, stride, padding), x, g)
    assert torch.equal(node.forward(x).double(), y)
    # that equal levels differ a little, the first ones being larger, leaves the order of others as it is
    h, w = x.shape[1:3]
    place = (torch.arange(h).view(-1, 1) * w + torch.arange(w)).view(1, h, w, 1) * 1e-3
    _, gradient = through(lambda v: functional.max_pool2d(v, kernel, stride, padding), x - place, g)
    found = node.backward(Gradient(g[:, : y.shape[1], : y.shape[2]], 0.25), x)
    assert torch.equal(
        torch.zeros_like(gradient) if found is None else found.levels.double() * found.unit, gradient * 0.25
    )


def test_channels_of_zeros() -> None:
    x, g = levels(0, 2, 3, 2, 4), levels(1, 2, 3, 2, 9)
    node = made(Op.PAD_CHANNELS, [2, 3], Levels(0.5, 128), Levels(0.25, 100))
    y, gradient = through(lambda v: functional.pad(v, (0, 0, 0, 0, 2, 3)), x, g)
    assert torch.equal(node.forward(x).double(), 2 * y)
    found = node.backward(Gradient(g, 2.0), x)
    assert found is not None
    assert torch.equal(found.levels.double() * found.unit, gradient * 2)


def test_outputs_saturate() -> None:
    node = made(Op.MAX_POOL, [1, 1, 1, 1, 0, 0, 0, 0], Levels(1.0, 128), Levels(0.125, 100))
    assert node.forward(torch.tensor([-128, 1, 127]).view(1, 1, 3, 1)).flatten().tolist() == [-100, 8, 155]
