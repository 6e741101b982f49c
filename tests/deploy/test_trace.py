"""What cannot be exported is refused with the layer's name."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from onebit import deploy
from onebit.errors import OnebitError
from onebit.nn import BinaryConv2d, BinaryLinear
from onebit.quantize import GradientQuantizer, UniformQuantizer, UniformWeightQuantizer

X = torch.randn(2, 4, 8, 6, generator=torch.Generator().manual_seed(0))


class Ternary(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w.sign() * (w.abs() > 0.1)


class PerSample(nn.Module):
    """Its threshold is the mean of the sample."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x >= x.mean(dim=(1, 2, 3), keepdim=True), 1.0, -1.0)


class PerShape(nn.Module):
    """Its threshold is that of a sign, but not on real images."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x >= (0.2 if x.shape[2] > 1 else 0), 1.0, -1.0)


class PerPosition(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x >= torch.arange(x.shape[1] // 4).repeat(4) / 10, 1.0, -1.0)


class Doubled(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def layer(**options: object) -> nn.Module:
    torch.manual_seed(0)
    return BinaryConv2d(4, 4, 3, **options)  # type: ignore[arg-type]


def transformed(transform: nn.Module) -> nn.Module:
    conv = layer()
    conv.output_transform = transform
    return conv


def uniform() -> nn.Module:
    quantizer = UniformQuantizer(4)
    quantizer(X)
    return quantizer


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.Sigmoid(), r"layer '0.1' \(Sigmoid\) cannot be exported: the format has no operator"),
        (nn.GroupNorm(2, 4), r"'0.1' \(GroupNorm\)"),
        (nn.Hardtanh(0, 6), r"'0.1' \(Hardtanh\).*limits are 0 and 6"),
        (nn.ReLU6(), r"'0.1' \(ReLU6\).*limits are"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), r"'0.1' \(Conv2d\).*reflect"),
        (nn.Conv2d(4, 4, 3, padding=3), r"'0.1'.*padding"),
        (nn.BatchNorm2d(4, track_running_stats=False), r"'0.1' \(BatchNorm2d\).*running statistics"),
        (nn.MaxPool2d(2, dilation=2), r"'0.1' \(MaxPool2d\).*dilation"),
        (nn.AvgPool2d(2, divisor_override=3), r"'0.1' \(AvgPool2d\).*divisor_override"),
        (nn.AdaptiveAvgPool2d(3), r"'0.1' \(AdaptiveAvgPool2d\).*multiple"),
        (nn.Linear(6, 3), r"'0.1' \(Linear\).*not flattened"),
        (nn.Flatten(2), r"'0.1' \(Flatten\)"),
        (Doubled(), r"operation 'mul' \(mul\) in '0.1' cannot be exported"),
        (layer(weight_quantizer=Ternary()), r"'0.1' \(BinaryConv2d\).*not ±α"),
        (layer(weight_quantizer=UniformWeightQuantizer(3)), r"'0.1' \(BinaryConv2d\).*not ±α"),
        (layer(input_quantizer=PerSample()), r"'0.1.input_quantizer' cannot be exported"),
        (layer(input_quantizer=PerShape()), r"'0.1' \(BinaryConv2d\).*PerShape.*not one threshold"),
        (layer(input_quantizer=uniform()), r"'0.1.input_quantizer' cannot be exported: it gives .* not only"),
        (nn.Sequential(nn.Flatten(), BinaryLinear(192, 3, input_quantizer=PerPosition())), r"positions of a channel"),
        (transformed(nn.Tanh()), r"'0.1' cannot be exported: its output_transform"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refusals_name_the_layer(module: nn.Module, reason: str) -> None:
    net = nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 1), module))
    with pytest.raises(OnebitError, match=reason):
        deploy.build(net, X)


class Function(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x, w: torch.sigmoid(x), "operation 'sigmoid'"),
        (lambda x, w: x.softmax(1).relu(), "operation 'softmax'"),
        (lambda x, w: x * w, "operation 'mul'"),
        (lambda x, w: x + w, "sum of two layers' outputs"),
        (lambda x, w: x + 1, "sum of two layers' outputs"),
        (lambda x, w: torch.add(x, x, alpha=2), "sum of two layers' outputs"),
        (lambda x, w: x + x.mean((2, 3), keepdim=True), "the terms are"),
        (lambda x, w: x.mean(1), "mean over height and width"),
        (lambda x, w: x.reshape(x.shape[0] * 4, 8, 6), "only flattening"),
        (lambda x, w: functional.pad(x, (1, 1)), "only zero channels"),
        (lambda x, w: functional.pad(x, (0, 0, 0, 0, 1, 1), value=1.0), "only zero channels"),
        (lambda x, w: x[:, 1:], r"only x\[:, :, ::a, ::b\]"),
        (lambda x, w: x if x.sum() > 0 else -x, "cannot be traced"),
        (lambda x, w: (x, x), "does not return one tensor"),
    ],
)
def test_refused_functions(function: object, reason: str) -> None:
    with pytest.raises(OnebitError, match=reason):
        deploy.build(nn.Sequential(nn.Identity(), Function(function)), X)


def test_a_binary_layer_without_input_quantizer_stays_real_valued() -> None:
    graph = deploy.build(nn.Sequential(layer(input_quantizer=nn.Identity(), bias=True)), X)
    assert [node.kind for node in graph.nodes] == ["conv_float"]
    net = nn.Sequential(transformed(GradientQuantizer(8)))
    net[0].input_quantizer = nn.Identity()
    with pytest.raises(OnebitError, match=r"'0'.*output transform"):
        deploy.build(net, X)


def test_another_product_in_a_subclass_is_refused() -> None:
    class Other(BinaryConv2d):
        def product(self, x: Tensor, weight: Tensor) -> Tensor:
            return 2 * super().product(x, weight)

    with pytest.raises(OnebitError, match=r"'0' \(Other\).*class Other has a 'product' of its own"):
        deploy.build(nn.Sequential(Other(4, 4, 3)), X)
