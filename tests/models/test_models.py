"""Every network: shapes, traceability, the operations an exporter handles, published sizes, the real-valued twin."""

import pytest
import torch
from torch import fx, nn

from onebit import models
from onebit.errors import OnebitError
from onebit.nn import BinaryConv2d, binary_layers

pytestmark = pytest.mark.usefixtures("one_thread")

LEAVES = {
    "Conv2d",
    "Linear",
    "BatchNorm1d",
    "BatchNorm2d",
    "Hardtanh",
    "ReLU",
    "MaxPool2d",
    "AvgPool2d",
    "AdaptiveAvgPool2d",
    "Flatten",
    "BinaryConv2d",
    "RPReLU",
    "PadChannels",
}

# Parameters of torchvision's ResNets with 1000 classes, and of ResNet-20 (He et al., 2016, table 6: 0.27 M).
RESNET18, RESNET34, RESNET20 = 11_689_512, 21_797_672, 269_722

SMALL_INPUT = {
    "birealnet18": {"input_size": 32},
    "birealnet34": {"input_size": 32},
    "reactnet18": {"input_size": 32},
    "reactnet34": {"input_size": 32},
    "reactnet_a": {"input_size": 32, "width": 8},
    "reactnet_b": {"input_size": 64, "width": 8},
    "reactnet_c": {"input_size": 32, "width": 8},
    "resnet18_imagenet": {"input_size": 64},
    "resnet34_he": {"input_size": 32},
    "resnet34_imagenet": {"input_size": 32},
}


class Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return module.__module__.startswith("onebit.nn") or super().is_leaf_module(module, name)


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def build(name: str, **options) -> nn.Module:
    torch.manual_seed(0)
    return models.create(name, num_classes=7, **SMALL_INPUT.get(name, {}), **options)


@pytest.mark.parametrize("full_precision", [False, True])
@pytest.mark.parametrize("name", models.names())
def test_shape_trace_and_head(name, full_precision):
    net = build(name, full_precision=full_precision).eval()
    x = torch.randn(2, *net.input_shape)
    graph = Tracer().trace(net)
    calls = [node for node in graph.nodes if node.op not in ("placeholder", "output")]
    kinds = {type(net.get_submodule(node.target)).__name__ for node in calls if node.op == "call_module"}
    others = {node.target.__name__ for node in calls if node.op != "call_module"}
    assert kinds <= LEAVES
    assert others <= {"add"}
    assert isinstance(net.head, nn.Linear)
    assert calls[-1].target == "head"
    with torch.no_grad():
        logits = net(x)
        assert logits.shape == (2, 7)
        assert torch.equal(fx.GraphModule(net, graph)(x), logits)


@pytest.mark.parametrize("name", models.names())
def test_twin_has_the_same_topology(name):
    net, twin = build(name), build(name, full_precision=True)
    parts = [(key, p.shape) for key, p in net.named_parameters() if not key.endswith("input_quantizer.alpha")]
    assert [shape for _, shape in parts] == [p.shape for p in twin.parameters()]
    assert not list(binary_layers(twin))
    binary = [layer.weight.shape for _, layer in binary_layers(net)]
    real = [module.weight.shape for module in net.modules() if isinstance(module, nn.Conv2d)]
    convolutions = [module.weight.shape for module in twin.modules() if isinstance(module, nn.Conv2d)]
    assert sorted(binary + real) == sorted(convolutions)
    assert all(shape[2:] == (3, 3) or (name.startswith("reactnet_") and shape[2:] == (1, 1)) for shape in binary)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("resnet18_cifar", 16),
        ("resnet20_cifar", 18),
        ("resnet20_irnet", 18),
        ("resnet20_recu", 18),
        ("resnet18_imagenet", 16),
        ("resnet34_imagenet", 32),
        ("birealnet18", 16),
        ("birealnet34", 32),
        ("reactnet18", 16),
        ("reactnet34", 32),
        ("reactnet_a", 26),
        ("reactnet_b", 21),
        ("reactnet_c", 21),
        ("resnet34_cifar", 32),
        ("resnet34_he", 32),
        ("vgg_small", 5),
        ("small", 3),
    ],
)
def test_number_of_binary_layers(name, layers):
    assert len(list(binary_layers(build(name)))) == layers


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [
        ("birealnet18", 1000, RESNET18),
        ("birealnet34", 1000, RESNET34),
        ("reactnet18", 1000, RESNET18 + 3_392 + 3 * 3_840),  # and the thresholds, shifts and slopes
        ("reactnet34", 1000, RESNET34 + 7_104 + 3 * 7_552),
        ("resnet18_imagenet", 1000, RESNET18 + 2 * 512),  # and the BatchNorm before the head
        ("resnet34_he", 1000, RESNET34),
        ("resnet34_imagenet", 1000, RESNET34 + 2 * 512),
        ("resnet20_cifar", 10, RESNET20 + 2 * 64),
        ("resnet20_irnet", 10, RESNET20 + 2 * 64),
        ("resnet20_recu", 10, RESNET20 + 2 * 64),
    ],
)
def test_published_number_of_parameters(name, classes, expected):
    with torch.device("meta"):
        assert parameters(models.create(name, num_classes=classes)) == expected


@pytest.mark.parametrize(("shape", "layers"), [((1, 8, 8), 3), ((1, 28, 28), 5), ((3, 32, 32), 7), ((1, 6, 4), 1)])
def test_small_takes_other_shapes(shape, layers):
    net = models.create("small", num_classes=4, in_shape=shape, width=8)
    assert net.input_shape == shape
    assert net(torch.randn(2, *shape)).shape == (2, 4)
    assert len(list(binary_layers(net))) == layers


def test_gradients_reach_every_parameter():
    for name in ("small", "resnet20_cifar", "vgg_small", "birealnet18", "reactnet18", "reactnet_a", "reactnet_b"):
        net = build(name)
        nn.functional.cross_entropy(net(torch.randn(2, *net.input_shape)), torch.tensor([0, 1])).backward()
        missing = [key for key, parameter in net.named_parameters() if parameter.grad is None]
        assert missing == []


def test_batch_norms_of_the_imagenet_form_start_at_almost_nothing():
    weights = [m.weight for m in build("resnet18_imagenet").modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(bool((weight == 1e-8).all()) for weight in weights)


def test_birealnet_scales_its_weights():
    for _, layer in binary_layers(build("birealnet18")):
        assert isinstance(layer, BinaryConv2d)
        torch.testing.assert_close(layer.quantized_weight().abs().amax((1, 2, 3)), layer.weight.abs().mean((1, 2, 3)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {}, "did you mean resnet18_cifar or resnet18_imagenet"),
        ("bireal18", {}, "did you mean birealnet18"),
        ("zzz", {}, "there are birealnet18, "),
        ("small", {"depth": 3}, "no option 'depth' .it takes in_shape, width, full_precision"),
        ("small", {"num_classes": 0}, "0 classes"),
        ("small", {"in_shape": (1, 7, 7)}, "7, 7"),
        ("small", {"in_shape": (8, 8)}, "8, 8"),
        ("birealnet18", {"input_size": 100}, "multiple of 32"),
        ("birealnet18", {"input_size": 20}, "multiple of 8"),
        ("reactnet_a", {"input_size": 80}, "multiple of 32"),
        ("reactnet_b", {"width": 6}, "multiple of 4"),
    ],
)
def test_bad_input_is_refused(name, options, message):
    with pytest.raises(OnebitError, match=message):
        models.create(name, **options)
