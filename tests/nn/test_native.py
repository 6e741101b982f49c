"""The native backend beside PyTorch's layer: forward bit for bit, gradients up to the rounding of their scaling."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from onebit import _engine, methods, models
from onebit.errors import OnebitError
from onebit.nn import BinaryConv2d, BinaryLinear, use_native
from onebit.quantize import ApproxSign, GradientQuantizer, IdentitySign, MagnitudeAwareSign, Sign, SwishSign

ISAS = [
    isa
    for isa in ("avx512", "avx512bw", "avx2", "neon_dotprod", "neon", "portable")
    if isa in _engine.isas() and _engine.training_isa(isa)
]
EPSILON = torch.finfo(torch.float32).eps


@st.composite
def cases(draw: st.DrawFn) -> tuple[BinaryConv2d, Tensor, Tensor]:
    """A layer, an input, and a gradient on a grid of 256 levels that floats hold exactly."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    kernel = draw(st.sampled_from([(3, 3), (3, 3), (1, 1), (2, 3), (5, 5)]))
    stride = draw(st.sampled_from([(1, 1), (2, 2), (2, 1), (3, 3)]))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    channels = st.sampled_from([1, 3, 32, 33, 64, 70, 130])
    quantizer = draw(st.sampled_from([ApproxSign, Sign, IdentitySign, SwishSign]))()
    layer = BinaryConv2d(draw(channels), draw(channels), kernel, stride, padding, input_quantizer=quantizer)
    height, width = (draw(st.integers(k, 7)) for k in kernel)
    x = torch.randn(draw(st.sampled_from([1, 2, 5, 63, 64, 65])), layer.in_channels, height, width)
    x[torch.rand_like(x) < 0.1] = draw(st.sampled_from([0.0, -0.0, 1.0, 9.0]))
    q = torch.randint(256, layer(x).shape)
    lowest = draw(st.sampled_from([0, -128, -255, 40]))  # in steps
    if q.numel() > 1:
        q.view(-1)[0], q.view(-1)[-1] = 0, 255
    return layer, x, (q + lowest) * 2.0 ** draw(st.integers(-30, 0))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 2])
@settings(max_examples=25, deadline=None)
@given(case=cases())
def test_products(isa: str, threads: int, case: tuple[BinaryConv2d, Tensor, Tensor]) -> None:
    layer, x, gradient = case
    exact = copy.deepcopy(layer).double()
    assert use_native(nn.Sequential(layer), threads, isa).native == ("0",)
    mine, theirs = x.clone().requires_grad_(), x.double().requires_grad_()
    y, expected = layer(mine), exact(theirs)
    assert y.dtype == torch.float32
    assert torch.equal(y.double(), expected)
    y.backward(gradient)
    expected.backward(gradient.double())
    # each is a sum of `terms` numbers of at most `largest`, scaled in a few float operations
    largest = float(gradient.abs().max())
    for found, wanted, terms in (
        (mine.grad, theirs.grad, layer.weight[0, 0].numel() * layer.out_channels),
        (layer.weight.grad, exact.weight.grad, gradient[:, 0].numel()),
    ):
        assert found is not None
        assert wanted is not None
        torch.testing.assert_close(found.double(), wanted, rtol=4 * EPSILON, atol=4 * EPSILON * terms * largest)


def test_instruction_sets_and_threads_give_the_same_bits() -> None:
    results = []
    for isa in ISAS:
        for threads in (1, 2, 3):
            torch.manual_seed(3)
            layer = BinaryConv2d(40, 48, 3, 2, 1)
            use_native(nn.Sequential(layer), threads, isa)
            x = torch.randn(70, 40, 9, 9, requires_grad=True)
            layer(x).square().sum().backward()
            results.append((x.grad, layer.weight.grad))
    for dx, dw in results[1:]:
        assert torch.equal(dx, results[0][0])
        assert torch.equal(dw, results[0][1])


def test_own_quantiser_leaves_the_expectation() -> None:
    layer = BinaryConv2d(4, 8, 3, 1, 1, input_quantizer=IdentitySign())
    plain = copy.deepcopy(layer)
    use_native(nn.Sequential(layer), 1, "portable")
    x = torch.randn(8, 4, 6, 6)
    gradient = torch.randn(8, 8, 6, 6)
    plain(x).backward(gradient)
    total = torch.zeros_like(layer.weight)
    draws = 200
    for _ in range(draws):
        layer.zero_grad()
        layer(x).backward(gradient)
        assert layer.weight.grad is not None
        total += layer.weight.grad
    step = float(gradient.max() - gradient.min()) / 255
    # the standard deviation of a rounding is at most half a step
    deviation = 0.5 * step * (gradient[:, 0].numel() / draws) ** 0.5
    assert plain.weight.grad is not None
    assert float((total / draws - plain.weight.grad).abs().max()) < 5 * deviation
    assert not torch.equal(total / draws, plain.weight.grad)


def test_noise_follows_the_seed() -> None:
    layer = BinaryConv2d(4, 4, 3)
    use_native(nn.Sequential(layer), 1, "portable")
    x, gradient = torch.randn(2, 4, 5, 5), torch.randn(2, 4, 3, 3)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        layer.zero_grad()
        layer(x).backward(gradient)
        found.append(layer.weight.grad)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_gradient_that_is_not_finite_stays_so() -> None:
    for bad in (float("nan"), float("inf")):
        layer = BinaryConv2d(4, 4, 3, input_quantizer=IdentitySign())
        use_native(nn.Sequential(layer), 1, "portable")
        gradient = torch.randn(2, 4, 3, 3)
        gradient[1, 2, 0, 0] = bad
        x = torch.randn(2, 4, 5, 5, requires_grad=True)
        layer(x).backward(gradient)
        assert x.grad is not None
        assert not x.grad.isfinite().any()


def test_constant_gradient() -> None:
    layer = BinaryConv2d(4, 4, 3, 1, 1, input_quantizer=IdentitySign())
    plain = copy.deepcopy(layer)
    use_native(nn.Sequential(layer), 1, "portable")
    x = torch.randn(2, 4, 5, 5)
    for each in (layer, plain):
        each(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)


def test_layers_left_to_pytorch() -> None:
    net = nn.Sequential(
        BinaryConv2d(4, 4, 3),
        BinaryConv2d(4, 4, 3, groups=2),
        BinaryConv2d(4, 4, 3, dilation=2),
        BinaryConv2d(4, 4, 3, padding=1, padding_value=1),
        BinaryConv2d(4, 4, 3, weight_quantizer=MagnitudeAwareSign()),
        BinaryConv2d(4, 4, 3, input_quantizer=nn.Hardtanh()),
        BinaryLinear(4, 2),
    )
    report = use_native(net, 1, "portable")
    assert report.native == ("0",)
    assert report.reasons == {
        "1": "groups",
        "2": "dilation",
        "3": "padding value 1",
        "4": "weights other than 1 and -1",
        "5": "an input of more than one bit",
        "6": "a dense layer",
    }
    assert str(report).startswith(
        "1 of 7 binary layers train natively (portable, 1 thread); by products alone 0: in no block"
    )
    assert "; by PyTorch 1: groups; 2: dilation; " in str(report)


def test_instruction_set_without_kernels() -> None:
    report = use_native(nn.Sequential(BinaryConv2d(4, 4, 3)), 1, "reference")
    assert report.reasons == {"0": "no kernels for training on reference"}
    with pytest.raises(OnebitError):
        use_native(nn.Sequential(), 1, "abacus")
    with pytest.raises(OnebitError):
        use_native(nn.Sequential(), 0)


def test_weights_that_change_kind_are_refused() -> None:
    layer = BinaryConv2d(4, 4, 3)
    use_native(nn.Sequential(layer), 1, "portable")
    layer.weight_quantizer = MagnitudeAwareSign()
    with pytest.raises(OnebitError, match="not all 1 or -1"):
        layer(torch.randn(1, 4, 3, 3))


def test_evaluation_is_pytorchs() -> None:
    layer = BinaryConv2d(4, 4, 3)
    plain = copy.deepcopy(layer).eval()
    use_native(nn.Sequential(layer), 1, "portable")
    layer.eval()
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(layer(x), plain(x))


def test_state_is_unchanged_and_layers_copy() -> None:
    net = models.create("small")
    methods.CycleBNN().attach(net)
    before = list(net.state_dict())
    use_native(net, 1, "portable")
    assert list(net.state_dict()) == before
    copy.deepcopy(net)(torch.randn(2, *net.input_shape)).sum().backward()


def test_cyclebnn_keeps_control_of_the_width() -> None:
    net = nn.Sequential(BinaryConv2d(4, 4, 3, 1, 1))
    method = methods.CycleBNN(gradient_bits=(2, 12))
    method.attach(net)
    use_native(net, 1, "portable")
    x, target = torch.randn(2, 4, 5, 5), torch.randn(2, 4, 5, 5)
    counts = []
    for bits in (2, 8, 12):  # the last by PyTorch
        method.set_bits(4, bits)
        net.zero_grad()
        torch.manual_seed(0)
        functional.mse_loss(net(x), target).backward()
        weight = net[0].weight
        assert weight.grad is not None
        assert bool(weight.grad.isfinite().all())
        counts.append(weight.grad.clone())
    assert not torch.equal(counts[0], counts[1])
    # few bits are noisy, twelve are nearly exact
    assert float((counts[0] - counts[2]).norm()) > 5 * float((counts[1] - counts[2]).norm())


@pytest.mark.parametrize("bias", [False, True])
def test_gradient_quantizer_is_applied_once(bias: bool) -> None:
    layer = BinaryConv2d(1, 1, 1, bias=bias, input_quantizer=IdentitySign())
    quantizer = GradientQuantizer(2)
    layer.output_transform = nn.Sequential(quantizer, nn.Identity())
    use_native(nn.Sequential(layer), 1, "portable")
    assert quantizer.delegated != bias  # a bias learns from the quantised gradient, too
    x = torch.randn(1, 1, 1, 400, requires_grad=True)
    layer(x).backward(torch.linspace(-1, 1, 400).view(1, 1, 1, 400))
    assert x.grad is not None
    levels = x.grad.mul(3).round().unique()
    assert levels.tolist() == [-3, -1, 1, 3]
    torch.testing.assert_close(x.grad.unique().mul(3), levels)


def test_bfloat16_autocast() -> None:
    layer = BinaryConv2d(8, 8, 3)
    use_native(nn.Sequential(layer), 1, "portable")
    x = torch.randn(2, 8, 5, 5, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    y.sum().backward()
    assert y.dtype == torch.float32
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
