"""BinaryConv2d against torch's convolution of explicit signs with explicit padding."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from onebit.errors import OnebitError
from onebit.nn import BinaryConv2d
from onebit.quantize import IdentitySign, MagnitudeAwareSign, UniformWeightQuantizer

pairs = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.integers(0, 3) | st.tuples(*[st.integers(0, 3)] * 2) | st.tuples(*[st.integers(0, 3)] * 4)


def as_pair(value):
    return (value, value) if isinstance(value, int) else value


def as_sides(padding):
    if isinstance(padding, int):
        return (padding,) * 4
    return padding if len(padding) == 4 else (*padding, *padding)


def signs(x):
    return torch.where(x >= 0, 1.0, -1.0)


@settings(deadline=None)
@given(
    groups=st.integers(1, 4),
    per_group=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    kernel=pairs,
    stride=pairs,
    dilation=pairs,
    padding=paddings,
    padding_value=st.sampled_from([0.0, 1.0, -1.0]),
    bias=st.booleans(),
    training=st.booleans(),
    size=st.tuples(st.integers(7, 10), st.integers(7, 10)),
    batch=st.integers(1, 3),
)
def test_against_torch(
    groups, per_group, kernel, stride, dilation, padding, padding_value, bias, training, size, batch
):
    c, o = groups * per_group[0], groups * per_group[1]
    conv = BinaryConv2d(c, o, kernel, stride, padding, dilation, groups, bias, padding_value=padding_value)
    conv.train(training)
    if bias:
        nn.init.normal_(conv.bias)
    x = torch.randn(batch, c, *size)
    x[x.abs() < 0.1] = 0  # sign(0) = +1
    top, left, bottom, right = as_sides(padding)
    padded = functional.pad(signs(x), (left, right, top, bottom), value=padding_value)
    expected = functional.conv2d(padded, signs(conv.weight), None, as_pair(stride), 0, as_pair(dilation), groups)
    if bias:
        expected = expected + conv.bias.view(-1, 1, 1)
    assert conv.weight.shape == (o, c // groups, *as_pair(kernel))
    assert conv.padding == as_sides(padding)
    assert torch.equal(conv(x), expected)


@settings(deadline=None, max_examples=30)
@given(groups=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99))
def test_evaluation_is_an_exact_integer_times_alpha(groups, seed):
    torch.manual_seed(seed)
    conv = BinaryConv2d(8, 12, 3, padding=1, groups=groups, bias=True, weight_quantizer=MagnitudeAwareSign()).eval()
    nn.init.normal_(conv.bias)
    with torch.no_grad():
        conv.weight[3] = 0
        x = torch.randn(2, 8, 6, 5)
        alpha = conv.weight.abs().mean((1, 2, 3))
        integers = functional.conv2d(signs(x), signs(conv.weight), None, 1, 1, 1, groups)
        expected = integers * alpha.view(-1, 1, 1) + conv.bias.view(-1, 1, 1)
        assert torch.equal(conv(x), expected)
        torch.testing.assert_close(conv.train()(x), expected)  # the same up to rounding


def test_gradients_are_the_same_in_training_and_evaluation():
    conv = BinaryConv2d(6, 4, 3, padding=1, weight_quantizer=MagnitudeAwareSign())
    x = torch.randn(2, 6, 5, 5, requires_grad=True)
    gradients = []
    for training in (True, False):
        conv.train(training).zero_grad()
        x.grad = None
        conv(x).square().sum().backward()
        gradients.append((conv.weight.grad, x.grad))
    for trained, evaluated in zip(*gradients, strict=True):
        assert trained.abs().max() > 0
        torch.testing.assert_close(trained, evaluated)


def test_gradient_against_autograd_on_surrogates():
    conv = BinaryConv2d(4, 5, 3, stride=2, padding=1)
    x = torch.randn(2, 4, 7, 7, requires_grad=True)
    y = conv(x)
    incoming = torch.randn_like(y)
    y.backward(incoming)
    a, w = signs(x).detach().requires_grad_(), signs(conv.weight).detach().requires_grad_()
    functional.conv2d(a, w, None, 2, 1).backward(incoming)
    torch.testing.assert_close(x.grad, a.grad * (2 - 2 * x.detach().abs()).clamp_min(0))
    torch.testing.assert_close(conv.weight.grad, w.grad * (conv.weight.detach().abs() <= 1))


def test_parts_can_be_replaced():
    conv = BinaryConv2d(4, 4, 1, bias=True, input_quantizer=IdentitySign())
    nn.init.constant_(conv.bias, 0.5)
    conv.weight_quantizer = UniformWeightQuantizer(4)
    conv.output_transform = nn.ReLU()
    x = torch.randn(1, 4, 3, 3)
    expected = functional.conv2d(signs(x), conv.quantized_weight(), conv.bias).relu()
    for training in (True, False):
        torch.testing.assert_close(conv.train(training)(x), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": 3}, "groups"),
        ({"groups": 0}, "groups"),
        ({"padding_value": 0.5}, "padding_value"),
        ({"padding": -1}, "padding"),
        ({"padding": (1, 2, 3)}, "padding"),
        ({"padding": "full"}, "padding"),
        ({"padding": "same", "stride": 2}, "stride"),
        ({"padding_mode": "reflect"}, "padding_mode is 'reflect'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(OnebitError, match=message):
        BinaryConv2d(4, 4, 3, **arguments)


@pytest.mark.parametrize("training", [True, False])
def test_one_image_without_a_batch(training):
    """Its output is as high as it has channels, so that a scale along the wrong side would fit."""
    conv = BinaryConv2d(8, 4, 3, bias=True, weight_quantizer=MagnitudeAwareSign()).train(training)
    nn.init.normal_(conv.bias)
    conv.output_transform = nn.BatchNorm2d(4).eval()
    nn.init.normal_(conv.output_transform.weight)
    x = torch.randn(8, 6, 6)
    assert torch.equal(conv(x), conv(x[None])[0])
    with pytest.raises(OnebitError, match=r"the input is \(6, 6\)"):
        conv(x[0])


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (2, 1), (4, 3), ((1, 5), (2, 2))])
def test_padding_by_name_as_in_torch(padding, kernel, dilation):
    conv = BinaryConv2d(3, 4, kernel, padding=padding, dilation=dilation)
    plain = nn.Conv2d(3, 4, kernel, padding=padding, dilation=dilation, bias=False)
    with torch.no_grad():
        plain.weight.copy_(torch.where(conv.weight >= 0, 1.0, -1.0))
    x = torch.randn(2, 3, 11, 13)
    assert torch.equal(conv(x), plain(torch.where(x >= 0, 1.0, -1.0)))


def test_dtype_and_device():
    conv = BinaryConv2d(3, 2, 3, bias=True, dtype=torch.float64, device="meta")
    assert {(p.dtype, p.device.type) for p in conv.parameters()} == {(torch.float64, "meta")}
