"""RBONN on whole networks: every backbone, the digits, and the packed file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from onebit import data, models
from onebit.methods import RBONN, Compose, CycleBNN, Method, optimizer_groups
from onebit.nn import binary_layers
from tests.deploy.nets import assert_same_answer

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 200
OPTIONS = {
    "birealnet18": {"input_size": 32},
    "reactnet18": {"input_size": 32},
    "resnet18_cifar": {},
    "resnet20_cifar": {},
    "small": {},
    "vgg_small": {},
}


def make_method(name: str) -> Method:
    if name.startswith("cyclebnn"):
        return Compose([CycleBNN(scaling="consistent"), RBONN(name.partition("+")[2])])
    return RBONN(name)


METHODS = ["released", "paper", "cyclebnn+released", "cyclebnn+paper"]


def iterate(net: nn.Module, method: Method, batches: Any, lr: float = 1e-2) -> None:
    optimizer = torch.optim.AdamW(optimizer_groups(net.parameters(), method.parameter_groups(), lr, 1e-5))
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
    for t, (images, labels) in enumerate(batches):
        method.step(t, len(batches))
        optimizer.zero_grad()
        loss = method.loss(functional.cross_entropy(net(images), labels))
        loss.backward()
        method.before_update()
        optimizer.step()
        decay.step()
        assert loss.isfinite()


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("variant", METHODS[:3])
def test_an_iteration_moves_everything_on_every_backbone(name: str, variant: str) -> None:
    net, method = models.create(name, **OPTIONS[name]), make_method(variant)
    method.attach(net)
    batches = [(torch.randn(2, *net.input_shape), torch.tensor([0, 1])) for _ in range(2)]
    iterate(net, method, batches[:1])  # after it there is something to return to
    before = {key: value.clone() for key, value in net.state_dict().items()}
    iterate(net, method, batches[1:])
    assert all(value.isfinite().all() for value in net.state_dict().values() if value.is_floating_point())
    after = net.state_dict()
    for layer, module in binary_layers(net):
        scale = "a" if "paper" in variant else "s"
        for key in ("weight", "weight_quantizer.previous", f"weight_quantizer.{scale}"):
            assert not torch.equal(before[f"{layer}.{key}"], after[f"{layer}.{key}"]), (layer, key)
        if module.weight_quantizer.mask().any():  # the paper's may let no channel through
            moved = (before[f"{layer}.weight_quantizer.u"] != after[f"{layer}.weight_quantizer.u"]).sum()
            assert moved > 0, layer


@pytest.mark.slow
@pytest.mark.learning
@pytest.mark.parametrize(
    ("variant", "minimum"), [("released", 0.88), ("paper", 0.88), ("cyclebnn+released", 0.8), ("cyclebnn+paper", 0.8)]
)
def test_learns_the_digits_and_answers_the_same_packed(
    variant: str, minimum: float, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    digits = data.create("digits")
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (digits.mean, digits.std))
    (train, labels), (test, test_labels) = digits.train(), digits.test()
    train, test = ((images / 255 - mean) / std for images in (train, test))
    net, method = models.create("small", width=16), make_method(variant)
    method.attach(net)
    chosen = [torch.randint(len(train), (32,)) for _ in range(STEPS)]
    iterate(net, method, [(train[batch], labels[batch]) for batch in chosen])
    with torch.no_grad():
        accuracy = float((net.eval()(test).argmax(1) == test_labels).float().mean())
    record_property("top1", accuracy)
    assert accuracy > minimum
    assert_same_answer(net, tmp_path, test[:32])


@pytest.mark.slow
@pytest.mark.parametrize("variant", METHODS)
def test_a_deep_network_answers_the_same_packed(variant: str, tmp_path: Path) -> None:
    net, method = models.create("resnet20_cifar"), make_method(variant)
    method.attach(net)
    iterate(net, method, [(torch.randn(4, 3, 32, 32), torch.randint(10, (4,))) for _ in range(3)])
    assert_same_answer(net.eval(), tmp_path, torch.randn(4, 3, 32, 32))
