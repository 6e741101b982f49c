"""LatentSign against its formula, its running scale, and where it is put."""

import copy
from collections.abc import Callable

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from onebit import OnebitError, models
from onebit.nn import LatentSign, insert_latent_sign

pytestmark = pytest.mark.usefixtures("one_thread")


def test_forward_and_gradient() -> None:
    cut = LatentSign(3).train()
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    incoming = torch.randn(2, 3, 4, 5)
    y = cut(x)
    y.backward(incoming)
    scale = x.detach().abs().mean(dim=(0, 2, 3)).view(3, 1, 1)
    assert torch.equal(y.detach(), torch.where(x >= 0, scale, -scale))
    assert torch.equal(x.grad, incoming)
    assert (LatentSign(1).eval()(torch.tensor([0.0, -0.0]).view(1, 1, 1, 2)) > 0).all()


def test_the_scale_runs_in_training_and_stays_in_evaluation() -> None:
    cut = LatentSign(2)
    expected = None
    for _ in range(4):
        x = torch.randn(3, 2, 4, 4)
        cut(x)
        mean = x.abs().mean(dim=(0, 2, 3))
        expected = mean if expected is None else 0.9 * expected + 0.1 * mean
    torch.testing.assert_close(cut.scale, expected)
    before = copy.deepcopy(cut.state_dict())
    assert set(before) == {"scale", "batches"}
    cut.eval()(torch.randn(3, 2, 4, 4))
    assert all(torch.equal(value, before[name]) for name, value in cut.state_dict().items())


@pytest.mark.parametrize(
    ("name", "options", "at"),
    [
        ("birealnet18", {"input_size": 32}, "stages.3.0"),
        ("reactnet18", {"input_size": 32}, "stages.3.0"),
        ("resnet20_cifar", {}, "stages.2.0"),
        ("small", {}, "blocks.1"),
    ],
)
def test_it_stands_behind_the_module(name: str, options: dict, at: str) -> None:
    net = models.create(name, latent_sign=at, **options).train()
    cut = net.get_submodule(f"{at}.1")
    seen = []
    cut.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
    net(torch.randn(2, *net.input_shape))
    ((x, y),) = seen
    assert torch.equal(y.sign(), torch.where(x >= 0, 1.0, -1.0))
    assert (y.abs() == cut.scale.view(-1, 1, 1)).all()
    assert f"{at}.1.scale" in net.state_dict()


def test_inserting_leaves_modes_and_statistics() -> None:
    net = models.create("small").train()
    before = copy.deepcopy(net.state_dict())
    insert_latent_sign(net, "blocks.0")
    assert all(module.training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items() if name.startswith("stem"))


@pytest.mark.parametrize("at", ["nowhere", "", "head", "blocks.7"])
def test_a_place_that_does_not_fit_is_refused(at: str) -> None:
    with pytest.raises(OnebitError):
        models.create("small", latent_sign=at)


@pytest.mark.slow
@pytest.mark.learning
def test_a_network_with_it_learns(record_property: Callable[[str, object], None]) -> None:
    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(bunch.target)
    train, test = torch.randperm(len(labels)).split([1437, 360])
    net = models.create("small", latent_sign="blocks.0")
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(3):
        for batch in train[torch.randperm(len(train))].split(64):
            optimizer.zero_grad()
            functional.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
    net.eval()
    with torch.no_grad():
        accuracy = float((net(images[test]).argmax(dim=1) == labels[test]).float().mean())
    record_property("top1", accuracy)
    assert accuracy >= 0.85
    assert isinstance(net.get_submodule("blocks.0"), nn.Sequential)
