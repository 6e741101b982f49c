"""The fake quantiser against the formulas, written here a second time in NumPy."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from onebit.continual import FullyQuantized, Hybrid
from onebit.continual.fake_quantizer import fake_quantize, quantize_head
from onebit.nn import BinaryConv2d, RPReLU
from onebit.quantize import ApproxSign, MagnitudeAwareSign

F, B, W = 5, 9, 6  # bits: few, so that each rounding shows


def q(x: Any, bits: int, low: float | None = None, high: float | None = None) -> np.ndarray:
    x = np.asarray(x, np.float32)
    low = x.min() if low is None else np.float32(low)
    high = x.max() if high is None else np.float32(high)
    if high <= low:
        return x
    s = np.float32(2**bits - 1) / (high - low)
    return np.rint((np.clip(x, low, high) - low) * s) / s + low


def close(ours: Tensor, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-5, atol=1e-6)


values = st.lists(st.integers(-(10**5), 10**5).map(lambda n: n / 64), min_size=1, max_size=40)


@given(values, st.integers(1, 16))
def test_the_formula(numbers: list[float], bits: int) -> None:
    x = torch.tensor(numbers)
    close(fake_quantize(x, bits), q(numbers, bits))
    close(fake_quantize(x, bits, -1.0, 0.5), q(numbers, bits, -1.0, 0.5))


@given(values, st.integers(1, 12))
def test_its_properties(numbers: list[float], bits: int) -> None:
    x = torch.tensor(numbers)
    y = fake_quantize(x, bits)
    step = float(x.max() - x.min()) / (2**bits - 1)
    slack = 1e-5 * float(x.abs().max())
    assert ((y - x).abs() <= step / 2 + slack).all()
    assert len(y.unique()) <= 2**bits
    assert (fake_quantize(y, bits) - y).abs().max() <= slack


@pytest.mark.parametrize("value", [0.0, 3.25, -1.0])
def test_a_tensor_of_one_value_stays(value: float) -> None:
    assert torch.equal(fake_quantize(torch.full((3,), value), 4), torch.full((3,), value))


def problem() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    known = torch.tensor([True, True, False, True])
    return torch.randn(7, 5), torch.randn(4, 5).requires_grad_(), torch.tensor([0, 1, 3, 0, 0, 1, 3]), known


def head(x: np.ndarray, w: np.ndarray, labels: Tensor, known: Tensor) -> np.ndarray:
    """p^ - onehot, p^ in 31 levels."""
    margin = 0.02 * (w.max() - w.min())
    logits = x @ q(w, F, w.min() - margin, w.max() + margin).T
    p = np.exp(logits - logits.max()) * known.numpy()
    return q(p / p.sum(axis=1, keepdims=True), F, 0, 1) - np.eye(4)[labels]


def test_a_step_of_the_hybrid_head() -> None:
    x, weight, labels, known = problem()
    arithmetic = Hybrid((-1.5, 2.0), F, B)
    arithmetic.loss(x, weight, labels, known).backward()
    inputs, w = q(x, F, -1.5, 2.0), weight.detach().numpy().copy()
    d = np.rint(np.rint(31 * head(inputs, w, labels, known)) / 2).clip(-16, 15) * 2 / 31 / 7
    assert weight.grad is not None
    close(weight.grad, d.T @ inputs)
    with torch.no_grad():
        weight -= 0.5 * weight.grad
    arithmetic.after_step(weight, nn.Identity())
    close(weight, q(w - 0.5 * (d.T @ inputs), B))


def test_the_head_of_the_fully_quantised() -> None:
    x, weight, labels, known = problem()
    x.requires_grad_()
    FullyQuantized(F, B, W).loss(x, weight, labels, known).backward()
    inputs, w = x.detach().numpy(), weight.detach().numpy()
    d = q(head(inputs, w, labels, known) / 7, B) * known.numpy()
    assert weight.grad is not None
    assert x.grad is not None
    close(weight.grad, q(d.T @ inputs, B))
    close(x.grad, q(d @ w, B))
    assert weight.grad[2].abs().max() < 1e-2


def test_the_widened_range() -> None:
    w = torch.tensor([[-1.0, 0.3], [2.0, 1.0]])
    close(quantize_head(w, F), q(w, F, -1.06, 2.06))


def convolved(x: np.ndarray, w: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients to x and w of a 3×3 convolution with padding 1."""
    a, b = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    functional.conv2d(a, b, padding=1).backward(torch.tensor(g))
    assert a.grad is not None
    assert b.grad is not None
    return a.grad.numpy(), b.grad.numpy()


def sign(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1, -1).astype(np.float32)


def test_a_step_of_a_binary_convolution() -> None:
    torch.manual_seed(0)
    options = {"input_quantizer": ApproxSign(), "weight_quantizer": MagnitudeAwareSign()}
    conv = BinaryConv2d(3, 4, 3, padding=1, **options)
    x, g = torch.randn(2, 3, 5, 5, requires_grad=True), torch.randn(2, 4, 5, 5)
    w0 = conv.weight.detach().numpy().copy()
    tail, arithmetic = nn.Sequential(conv), FullyQuantized(F, B, W)
    arithmetic.attach(tail)
    tail.train()
    y = tail(x)
    y.backward(g)

    entered, alpha = q(x.detach(), F), np.abs(w0).mean(axis=(1, 2, 3), keepdims=True)
    product = functional.conv2d(torch.tensor(sign(entered)), torch.tensor(alpha * sign(w0)), padding=1).numpy()
    close(y, q(q(product, F), F))
    incoming = q(q(g, B), B)
    dx, _ = convolved(sign(entered), q(alpha * sign(w0), B), incoming)
    _, dw = convolved(sign(entered), w0, incoming)
    dx = dx * np.where(np.abs(entered) <= 1, 2 * (1 - np.abs(entered)), 0)
    dw = q(dw, W) * alpha * (np.abs(w0) <= 1)
    assert x.grad is not None
    assert conv.weight.grad is not None
    close(x.grad, q(dx, B))
    close(conv.weight.grad, dw)

    arithmetic.before_step(torch.zeros(1), tail)
    with torch.no_grad():
        conv.weight -= 0.01 * conv.weight.grad
    arithmetic.after_step(torch.zeros(1), tail)
    close(conv.weight, np.clip(q(q(w0, W) - 0.01 * dw, W), -1, 1))


def test_a_step_of_a_real_convolution() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, padding=1)
    x, g = torch.randn(2, 3, 5, 5, requires_grad=True), torch.randn(2, 4, 5, 5)
    w0, b0 = conv.weight.detach().numpy().copy(), conv.bias.detach().numpy().copy()
    tail, arithmetic = nn.Sequential(conv), FullyQuantized(F, B, W)
    arithmetic.attach(tail)
    y = tail.train()(x)
    y.backward(g)
    entered, incoming = q(x.detach(), F), q(q(g, B), B)
    plain = functional.conv2d(torch.tensor(entered), torch.tensor(w0), torch.tensor(b0), padding=1)
    close(y, q(q(plain, F), F))
    dx, dw = convolved(q(entered, B), q(w0, B), incoming)
    arithmetic.before_step(torch.zeros(1), tail)
    assert x.grad is not None
    assert conv.weight.grad is not None
    close(x.grad, q(dx, B))
    close(conv.weight.grad, q(q(dw, B), B))
    close(conv.bias.grad, q(incoming.sum(axis=(0, 2, 3)), B))
    arithmetic.after_step(torch.zeros(1), tail)
    close(conv.weight, q(w0, B))


def test_the_slope_has_its_true_gradient() -> None:
    """Not the sum of g² of the scripts."""
    activation = RPReLU(2)
    x, g = torch.tensor([[-2.0, 1.0], [-4.0, -1.0]]), torch.tensor([[0.5, 1.0], [0.25, 2.0]])
    tail = nn.Sequential(activation)
    FullyQuantized(16, 20, 16).attach(tail)
    tail.train()(x).backward(g)
    torch.testing.assert_close(activation.beta.grad, torch.tensor([-2.0, -2.0]), rtol=1e-3, atol=1e-3)


def test_many_bits_are_near_float() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.PReLU(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    x, weight, labels = torch.randn(6, 2, 4, 4), torch.randn(2, 3, requires_grad=True), torch.tensor([0, 1, 1, 0, 0, 1])
    gradients = []
    for arithmetic in (FullyQuantized(20, 20, 20), None):
        if arithmetic is None:
            for module in net.modules():
                module._forward_hooks.clear()
                module._forward_pre_hooks.clear()
                module.__dict__.pop("forward", None)
            loss = functional.cross_entropy(net(x) @ weight.T, labels)
        else:
            arithmetic.attach(net)
            loss = arithmetic.loss(net.train()(x), weight, labels, torch.tensor([True, True]))
        net.zero_grad()
        loss.backward()
        gradients.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    for quantised, real in zip(*gradients, strict=True):
        torch.testing.assert_close(quantised, real, rtol=1e-2, atol=1e-3)


def test_an_answer_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    tail = nn.Sequential(BinaryConv2d(2, 3, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    FullyQuantized(F, B, W).attach(tail)
    tail.train()(torch.randn(9, 2, 4, 4))
    x = torch.randn(5, 2, 4, 4)
    tail.eval()
    assert torch.equal(tail(x)[:1], tail(x[:1]))
