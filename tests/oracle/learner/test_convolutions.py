"""The convolutions of a tail: exact products, with strides and padding, and steps of their weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from onebit.format.codes import Op
from tests.oracle.learner.arithmetic import Levels
from tests.oracle.learner.convolutions import BinaryConvolution, Convolution, RealConvolution
from tests.oracle.learner.packed_tail import PackedNode

SIDES = st.tuples(st.integers(1, 3), st.integers(1, 3))
SOURCE, OUT = Levels(0.05, 100), Levels(0.1, 128)


def real(seed: int, kernel: tuple[int, int], stride: tuple[int, int], padding: list[int]) -> RealConvolution:
    weight = np.random.default_rng(seed).normal(0, 0.3, (4, *kernel, 3)).astype(np.float32)
    attributes = [*stride, *padding, 1, 1, 1, 0, 0]
    return RealConvolution(PackedNode(Op.CONV_FLOAT, [0], 1, [weight, *[None] * 5], attributes), SOURCE, OUT, None)


def binary(seed: int, kernel: tuple[int, int], stride: tuple[int, int], padding: list[int]) -> BinaryConvolution:
    random = np.random.default_rng(seed)
    latent = random.integers(-127, 128, (4, *kernel, 3)).astype(np.int8)
    interval = np.stack([random.normal(0, 0.5, 3), np.full(3, np.inf)], axis=1).astype(np.float32)
    node = PackedNode(Op.CONV_BINARY, [1], 2, [None] * 6, [*stride, *padding, 1, 1, 1, 0, 0])
    return BinaryConvolution(
        node, PackedNode(Op.BINARIZE, [0], 1, [interval], []), latent, 1.5, True, (SOURCE, OUT, None)
    )


@pytest.mark.parametrize("kind", [real, binary])
@given(st.integers(0, 2**32 - 1), SIDES, SIDES)
def test_products_are_those_of_autograd(kind, seed: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    random = torch.Generator().manual_seed(seed)
    padding = [int(torch.randint(0, kernel[i % 2], (), generator=random)) for i in range(4)]
    conv: Convolution = kind(seed, kernel, stride, padding)
    x = torch.randint(-100, 156, (2, 5, 4, 3), generator=random)
    operand, weight = conv.inputs(x).requires_grad_(), conv.weights().requires_grad_()
    top, left, bottom, right = padding
    padded = functional.pad(operand, (0, 0, left, right, top, bottom)).permute(0, 3, 1, 2)
    s = functional.conv2d(padded, weight.permute(0, 3, 1, 2), stride=stride).permute(0, 2, 3, 1)
    assert torch.equal(conv.convolve(x).double(), s)
    h = torch.randint(-128, 128, s.shape, generator=random)
    s.backward(h.double())
    by_weight, by_input = conv.gradients(h, x)
    assert weight.grad is not None
    assert operand.grad is not None
    assert torch.equal(by_weight.double(), weight.grad)
    assert torch.equal(by_input.double(), operand.grad)


def test_levels_of_real_weights() -> None:
    conv = real(1, (3, 3), (1, 1), [1, 1, 1, 1])
    weight = np.random.default_rng(1).normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
    assert conv.weights().abs().max() == 96  # room to grow
    assert np.abs(conv.weights().numpy() * conv.level - weight).max() <= 0.51 * conv.level
    assert np.abs(conv.weight.numpy() * conv.unit - weight).max() <= 0.51 * conv.unit


def test_real_weights_step_as_sgd_does_and_saturate() -> None:
    conv = real(2, (1, 1), (1, 1), [0, 0, 0, 0])
    before, maximum = conv.weight * conv.unit, 127 * 256 * conv.unit
    sums = torch.randint(-3000, 3000, conv.weight.shape, generator=torch.Generator().manual_seed(2))
    gradient = sums.double() * 1e-4 / conv.level  # of the weights, 1e-4 being one of the sums
    conv.update_weights(sums, 1e-4, 0.01, key=3)
    expected = (before - 0.01 * gradient).clamp(-maximum, maximum)
    assert (conv.weight * conv.unit - expected).abs().max() <= conv.unit * 1.001
    conv.update_weights(torch.full_like(sums, -1000), 1.0, 1e3, key=3)
    assert (conv.weight == 127 * 256).all()
    assert (conv.weights() == 127).all()


def test_what_a_step_below_a_master_comes_to() -> None:
    conv = real(3, (1, 1), (1, 1), [0, 0, 0, 0])
    conv.weight = torch.zeros(1 << 14, 1, 1, 1, dtype=torch.int64)
    rate: float = 0.25 * conv.level * conv.unit
    conv.update_weights(torch.ones_like(conv.weight), 1.0, rate, key=11)
    moved: Tensor = conv.weight.double()
    assert set(moved.unique().tolist()) == {-1.0, 0.0}
    assert abs(float(moved.mean()) + 0.25) < 0.02
