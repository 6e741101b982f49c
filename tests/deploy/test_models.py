"""Every registered network, packed, answers as in PyTorch."""

from pathlib import Path

import pytest
import torch

from onebit import methods, models
from onebit.nn import binary_layers
from tests.deploy.nets import ISAS, assert_same_answer, randomize

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = {
    "birealnet18": {"input_size": 32},
    "birealnet34": {"input_size": 64},
    "reactnet18": {"input_size": 64},
    "reactnet34": {"input_size": 32},
    "reactnet_a": {"input_size": 64, "width": 8},
    "reactnet_b": {"input_size": 32, "width": 16},
    "reactnet_c": {"input_size": 32, "width": 8},
    "resnet18_imagenet": {"input_size": 64},
    "resnet34_he": {"input_size": 64},
    "resnet34_imagenet": {"input_size": 32},
}
LARGE = {
    "birealnet18",
    "birealnet34",
    "reactnet18",
    "reactnet34",
    "reactnet_b",
    "resnet18_cifar",
    "resnet18_imagenet",
    "resnet34_cifar",
    "resnet34_he",
    "resnet34_imagenet",
    "vgg_small",
}
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in models.names()]


def images(net: torch.nn.Module, seed: int = 0) -> torch.Tensor:
    return torch.randn(4, *net.input_shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", NAMES)
def test_packed_equals_torch(name: str, tmp_path: Path) -> None:
    net = randomize(models.create(name, num_classes=10, **OPTIONS.get(name, {})), seed=1)
    assert_same_answer(net, tmp_path, images(net))


@pytest.mark.parametrize("name", ["resnet20_cifar", "small", "vgg_small"])
def test_the_real_valued_twin_is_exported_too(name: str, tmp_path: Path) -> None:
    net = randomize(models.create(name, num_classes=10, full_precision=True), seed=1)
    assert_same_answer(net, tmp_path, images(net), ISAS[:1])


@pytest.mark.parametrize("scaling", ["released", "consistent"])
@pytest.mark.parametrize("bits", [2, 5])
@pytest.mark.parametrize("name", ["resnet20_cifar", "small"])
def test_cyclebnn_with_its_running_ranges(name: str, bits: int, scaling: str, tmp_path: Path) -> None:
    net = models.create(name, num_classes=10)
    method = methods.CycleBNN(bits=(bits, bits), scaling=scaling)
    methods.apply(method, net)
    method.step(0, 1)
    net.train()
    for seed in range(3):
        net(images(net, seed))
    assert all(layer.input_quantizer.running_range > 0 for _, layer in binary_layers(net))
    assert_same_answer(net.eval(), tmp_path, images(net))


def test_the_width_in_evaluation_is_frozen_into_the_thresholds(tmp_path: Path) -> None:
    net = models.create("small", num_classes=10)
    method = methods.CycleBNN(bits=(2, 6), cycles=1)
    methods.apply(method, net)
    net.train()
    net(images(net))
    net.eval()
    answers = []
    for t in (0, 9):  # 2 bits, then 6
        method.step(t, 10)
        assert_same_answer(net, tmp_path, images(net), ISAS[:1])
        answers.append(net(images(net)))
    assert not torch.equal(*answers)
