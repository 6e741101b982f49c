"""Compares a method's binary layer with a transcription of its paper, forward and backward, in float64."""

from collections.abc import Callable

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from onebit.methods import Method
from onebit.nn import BinaryConv2d, BinaryLinear

Quantizer = Callable[[Tensor, bool], Tensor]
"""From a tensor, and whether the network trains, to its binary form."""

SHAPES = {
    "seed": st.integers(0, 2**31),
    "batch": st.integers(1, 4),
    "channels": st.integers(1, 3),
    "groups": st.integers(1, 2),
    "kernel": st.integers(1, 3),
    "stride": st.integers(1, 2),
}


def assert_convolution_is(
    method: Method,
    activation: Quantizer,
    weight: Quantizer,
    output: Callable[[Tensor, nn.Module], Tensor] = lambda y, _: y,
    at: tuple[int, int] = (0, 1),
    *,
    seed: int,
    batch: int,
    channels: int,
    groups: int,
    kernel: int,
    stride: int,
) -> None:
    """``output`` is what follows the convolution, from its result and the layer's ``output_transform``."""
    torch.manual_seed(seed)
    inside = channels * groups
    conv = BinaryConv2d(inside, 2 * groups, kernel, stride=stride, padding=kernel // 2, groups=groups).double()
    method.attach(conv)
    method.step(*at)

    def transcribed(x: Tensor, w: Tensor, training: bool) -> Tensor:
        a, b = activation(x, training), weight(w, training)
        return output(functional.conv2d(a, b, None, stride, kernel // 2, 1, groups), conv.output_transform)

    _compare(conv, transcribed, torch.randn(batch, inside, 5, 4, dtype=torch.float64) * 1.5 + 0.2)


def assert_dense_is(
    method: Method,
    activation: Quantizer,
    weight: Quantizer,
    output: Callable[[Tensor, nn.Module], Tensor] = lambda y, _: y,
    at: tuple[int, int] = (0, 1),
) -> None:
    torch.manual_seed(0)
    layer = BinaryLinear(7, 3).double()
    method.attach(layer)
    method.step(*at)

    def transcribed(x: Tensor, w: Tensor, training: bool) -> Tensor:
        return output(functional.linear(activation(x, training), weight(w, training)), layer.output_transform)

    _compare(layer, transcribed, torch.randn(5, 7, dtype=torch.float64))


def _compare(layer: nn.Module, transcribed: Callable[[Tensor, Tensor, bool], Tensor], data: Tensor) -> None:
    for training in (True, False):
        layer.train(training)
        x, x_twin = (data.clone().requires_grad_() for _ in range(2))
        w_twin = layer.weight.detach().clone().requires_grad_()
        layer.weight.grad = None
        y, y_twin = layer(x), transcribed(x_twin, w_twin, training)
        torch.testing.assert_close(y, y_twin, rtol=1e-12, atol=1e-12)
        if training:
            upstream = torch.randn_like(y)
            y.backward(upstream)
            y_twin.backward(upstream)
            torch.testing.assert_close(x.grad, x_twin.grad, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(layer.weight.grad, w_twin.grad, rtol=1e-9, atol=1e-9)
