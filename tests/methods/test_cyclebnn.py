import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from onebit.errors import OnebitError
from onebit.methods import CycleBNN
from onebit.methods.cyclebnn import CyclicActivationSign, CyclicWeightSign
from onebit.nn import BinaryConv2d, BinaryLinear


def straight_through(value: Tensor, like: Tensor) -> Tensor:
    """``value`` forward, the gradient of ``like`` backward."""
    return value.detach() + like - like.detach()


def k_bit(x: Tensor, bits: int, minimum: Tensor, extent: Tensor) -> Tensor:
    s = torch.maximum(extent / (2**bits - 1), torch.tensor(1e-8, dtype=x.dtype))
    q = torch.round(torch.clamp((x - minimum) / s, 0, 2**bits - 1))
    return straight_through(q * s + minimum, x)


def sign(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


def stochastic(g: Tensor, bits: int) -> Tensor:
    s = (g.max() - g.min()) / (2**bits - 1)
    return torch.clamp(torch.floor((g - g.min()) / s + torch.rand_like(g)), max=2**bits - 1) * s + g.min()


class Transcription:
    """The sheet's binary layer, an operation a line, in training and evaluation."""

    def __init__(self, consistent: bool) -> None:
        self.consistent = consistent
        self.minimum = self.extent = self.scale = torch.zeros((), dtype=torch.float64)

    def weight(self, w: Tensor, bits: int, tau: float | None) -> Tensor:
        dims = tuple(range(1, w.dim()))
        variance = w.var(dims, keepdim=True, correction=1 if w[0].numel() > 1 else 0)
        w1 = w * 2 * math.sqrt(2) / torch.sqrt(variance + 1e-5)
        if tau is not None:
            limit = -math.log(2 - 2 * tau) * float(w1.detach().abs().mean())
            w1 = w1.clamp(-limit, limit)
        low, high = w1.amin(dims, keepdim=True).detach(), w1.amax(dims, keepdim=True).detach()
        quantized = k_bit(w1, bits, low, high - low)
        return straight_through(sign(quantized), quantized)

    def activation(self, a: Tensor, bits: int, training: bool) -> Tensor:
        if training:
            dims = tuple(range(1, a.dim()))
            variance = a.var(dims, keepdim=True, correction=1 if a[0].numel() > 1 else 0)
            a = a / torch.sqrt(variance + 1e-5)
            low, extent = a.min().detach(), (a.max() - a.min()).detach()
            self.minimum = 0.9 * self.minimum + 0.1 * low
            self.extent = 0.9 * self.extent + 0.1 * extent
            self.scale = 0.9 * self.scale + 0.1 * (1 / torch.sqrt(variance.detach() + 1e-5)).mean()
        else:
            low, extent = self.minimum, self.extent
            a = a * self.scale if self.consistent else a
        quantized = k_bit(a, bits, low, extent)
        slope = torch.clamp(2 - 2 * quantized.detach().abs(), min=0)
        return sign(quantized).detach() + slope * (quantized - quantized.detach())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    bits=st.integers(1, 8),
    gradient_bits=st.integers(1, 8),
    consistent=st.booleans(),
    tau=st.none() | st.floats(0.85, 0.99),
    batch=st.integers(1, 4),
    channels=st.integers(1, 3),
    groups=st.integers(1, 2),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
)
def test_convolution_is_that_of_the_sheet(
    seed: int,
    bits: int,
    gradient_bits: int,
    consistent: bool,
    tau: float | None,
    batch: int,
    channels: int,
    groups: int,
    kernel: int,
    stride: int,
) -> None:
    torch.manual_seed(seed)
    inside = channels * groups
    conv = BinaryConv2d(inside, 2 * groups, kernel, stride=stride, padding=kernel // 2, groups=groups).double()
    method = CycleBNN(
        bits=(bits, bits),
        gradient_bits=gradient_bits,
        scaling="consistent" if consistent else "released",
        recu_clamp=tau is not None,
    )
    method.attach(conv)
    if tau is not None:
        conv.weight_quantizer.tau.fill_(tau)
    alpha = conv.output_transform[1].alpha
    twin = Transcription(consistent)

    def transcribed(x: Tensor, w: Tensor, training: bool) -> Tensor:
        wb, ab = twin.weight(w, bits, tau), twin.activation(x, bits, training)
        y = functional.conv2d(ab, wb, None, stride, kernel // 2, 1, groups)
        if y.requires_grad:
            y.register_hook(lambda g: stochastic(g, gradient_bits))
        return y * alpha.detach().view(-1, 1, 1)

    for training in (True, True, False):
        conv.train(training)
        data = torch.randn(batch, inside, 5, 4, dtype=torch.float64) * 3 + 0.5
        x, x_twin = (data.clone().requires_grad_() for _ in range(2))
        w_twin = conv.weight.detach().clone().requires_grad_()
        conv.weight.grad = None
        y, y_twin = conv(x), transcribed(x_twin, w_twin, training)
        torch.testing.assert_close(y, y_twin, rtol=1e-12, atol=1e-12)
        upstream = torch.randn_like(y)
        for output in (y, y_twin):
            torch.manual_seed(seed)
            output.backward(upstream)
        torch.testing.assert_close(x.grad, x_twin.grad, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(conv.weight.grad, w_twin.grad, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(conv.input_quantizer.running_minimum, twin.minimum)
    torch.testing.assert_close(conv.input_quantizer.running_range, twin.extent)


def test_fused_float32_is_within_rounding_of_the_steps_composed() -> None:
    """Single precision may round a value at the edge of a level the other way, and no more than that."""
    torch.manual_seed(0)
    a, upstream = torch.randn(8, 16, 12, 12) * 2, torch.randn(8, 16, 12, 12)
    fused, composed = (a.clone().requires_grad_() for _ in range(2))
    y = CyclicActivationSign(4, consistent=False)(fused)
    y_composed = Transcription(False).activation(composed, 4, training=True)
    y.backward(upstream)
    y_composed.backward(upstream)
    same = (fused.grad - composed.grad).abs() < 1e-4
    assert (y == y_composed).float().mean() > 0.9999
    assert same.float().mean() > 0.9999


def small_net() -> nn.Sequential:
    return nn.Sequential(
        BinaryConv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Hardtanh(), nn.Flatten(), BinaryLinear(8 * 36, 4)
    )


@pytest.mark.parametrize("scaling", ["released", "consistent"])
@pytest.mark.parametrize("recu_clamp", [False, True])
def test_a_reloaded_network_answers_the_same(scaling: str, recu_clamp: bool) -> None:
    torch.manual_seed(0)
    options = {"scaling": scaling, "recu_clamp": recu_clamp}
    net, method = small_net(), CycleBNN(**options)
    method.attach(net)
    for t in range(5):
        method.step(t, 10)
        net(torch.randn(4, 3, 6, 6))
    method.step(7, 10)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    twin = small_net()
    CycleBNN(**options).attach(twin)
    twin.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(16, 3, 6, 6)
    assert torch.equal(net.eval()(x), twin.eval()(x))
    assert twin[0].input_quantizer.bits == net[0].input_quantizer.bits
    assert twin[4].output_transform[0].bits == 8


@pytest.mark.parametrize("scaling", ["released", "consistent"])
def test_evaluation_is_elementwise_monotone_and_depends_on_the_bits(scaling: str) -> None:
    torch.manual_seed(0)
    quantizer = CyclicActivationSign(2, consistent=scaling == "consistent")
    for _ in range(20):
        quantizer(torch.randn(8, 3, 5, 5).exp() - 1)  # a lopsided range
    quantizer.eval()
    x = torch.linspace(-9, 9, 40001)
    thresholds = []
    for bits in range(1, 8):
        quantizer.bits = bits
        y = quantizer(x.view(1, 1, 1, -1)).flatten()
        assert (y.diff() >= 0).all()
        assert (y.min(), y.max()) == (-1, 1)
        order = torch.randperm(len(x))
        assert torch.equal(quantizer(x[order].view(-1, 1)).flatten(), y[order])
        thresholds.append(float(x[y.argmax()]))
    assert len(set(thresholds)) > 3


def test_only_consistent_scaling_answers_in_evaluation_as_in_training() -> None:
    torch.manual_seed(0)
    a = (torch.randn(1, 4, 6, 6) * 0.1 + 0.02).expand(5, -1, -1, -1)  # every sample has the same scale
    accuracies = {}
    for consistent in (False, True):
        quantizer = CyclicActivationSign(2, consistent)
        trained = [quantizer(a) for _ in range(3)][-1]
        accuracies[consistent] = (quantizer.eval()(a) == trained).float().mean()
    assert accuracies[True] == 1
    assert accuracies[False] < 0.9


@pytest.mark.parametrize("quantizer", [CyclicActivationSign(3, False), CyclicWeightSign(3, True)])
def test_half_precision_and_constant_input(quantizer: nn.Module) -> None:
    x = torch.randn(4, 6).bfloat16().requires_grad_()
    y = quantizer(x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == torch.bfloat16
    constant = torch.full((4, 6), 0.5, requires_grad=True)
    quantizer(constant).sum().backward()
    assert constant.grad.isfinite().all()


def test_alpha_is_learned_from_the_unit_interval() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(BinaryConv2d(2, 500, 1))
    CycleBNN().attach(net)
    alpha = net[0].output_transform[1].alpha
    assert 0 <= alpha.min() < 0.02
    assert 0.98 < alpha.max() < 1
    net(torch.randn(2, 2, 3, 3)).sum().backward()
    assert alpha.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": (6, 2)}, "bits from 6 to 2"),
        ({"bits": (0, 2)}, "bits from 0 to 2"),
        ({"gradient_bits": 25}, "bits from 25 to 25"),
        ({"cycles": 0}, "0 cycles"),
        ({"scaling": "other"}, "no scaling 'other'"),
    ],
)
def test_bad_arguments_are_refused(options: dict, message: str) -> None:
    with pytest.raises(OnebitError, match=message):
        CycleBNN(**options)


def test_a_network_without_binary_layers_is_refused() -> None:
    with pytest.raises(OnebitError, match="no binary layer"):
        CycleBNN().attach(nn.Linear(2, 2))
