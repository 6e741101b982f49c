"""Both parts of a cut network together are the network."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from onebit import OnebitError, models
from onebit.continual import split
from onebit.nn.latent_sign import insert_latent_sign

CUTS = [
    ("small", {}, ["stem", "blocks", "blocks.0", "blocks.1.conv", "blocks.2", "norm", "head"]),
    ("resnet20_cifar", {}, ["stages.2.1", "stages.2"]),
    ("birealnet18", {"input_size": 32}, ["stages.3.1"]),
]


@pytest.mark.parametrize(
    ("name", "options", "at"), [(n, o, at) for n, o, cuts in CUTS for at in cuts if at.count(".") < 2]
)
def test_the_parts_are_the_network(name: str, options: dict[str, int], at: str) -> None:
    torch.manual_seed(0)
    net = models.create(name, num_classes=5, **options).eval()
    x = torch.randn(3, *net.input_shape)
    parts = split(net, at)
    with torch.no_grad():
        torch.testing.assert_close(parts.tail(parts.latents(x, batch=2)) @ parts.weight.T, net(x))
    assert not any(p.requires_grad for p in parts.front.parameters())
    own = {id(p) for p in net.parameters()}
    assert not any(id(p) in own for part in (parts.front, parts.tail) for p in part.parameters()), "the net stays"
    assert parts.rows(7)[5:].abs().sum() == 0


def test_the_tail_trains() -> None:
    net = models.create("small", num_classes=5).eval()
    parts = split(net, "blocks.1")
    x = torch.randn(4, *net.input_shape)
    parts.tail.train()(parts.latents(x)).sum().backward()
    assert all(p.grad is not None for p in parts.tail.parameters())


def test_latents_behind_a_latent_sign_are_signs() -> None:
    net = models.create("small", num_classes=5)
    insert_latent_sign(net, "blocks.1")
    net.train()(torch.randn(8, 1, 8, 8))
    latents = split(net, "blocks.2").latents(torch.randn(6, 1, 8, 8))
    assert all(len(channel.abs().unique()) == 1 for channel in latents.transpose(0, 1))


class Net(nn.Module):
    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.shift = nn.Parameter(torch.randn(4))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def test_a_parameter_of_the_tail_comes_with_it() -> None:
    net = Net(lambda net, x: net.head(net.b(net.a(x)) + net.shift))
    x = torch.randn(3, 4)
    parts = split(net, "b")
    torch.testing.assert_close(parts.tail(parts.front(x)) @ parts.weight.T, net(x))
    assert any(torch.equal(p, net.shift) for p in parts.tail.parameters())


def test_a_head_without_bias_has_no_column_of_ones() -> None:
    net = Net(lambda net, x: net.head(net.a(x)))
    net.head = nn.Linear(4, 2, bias=False)
    x = torch.randn(3, 4)
    parts = split(net, "head")
    torch.testing.assert_close(parts.tail(parts.front(x)) @ parts.weight.T, net(x))


@pytest.mark.parametrize(
    ("function", "at", "reason"),
    [
        (lambda net, x: net.head(net.b(net.a(x))), "c", "calls a module 'c' 0 times"),
        (lambda net, x: net.head(net.a(x) + net.b(net.a(x))), "b", "passes the cut by"),
        (lambda net, x: net.a(net.head(net.b(x))), "a", "does not come after"),
        (lambda net, x: net.head(net.b(x)) + net.head(net.a(x)), "a", "'head' 2 times"),
        (lambda net, x: net.head(x if x.sum() > 0 else -x), "head", "cannot be traced"),
        (lambda net, x: net.a(x), "a", "module 'head'"),
    ],
)
def test_what_cannot_be_cut_is_refused(function: Callable[..., Tensor], at: str, reason: str) -> None:
    with pytest.raises(OnebitError, match=reason):
        split(Net(function), at)


def test_a_network_needs_a_head() -> None:
    with pytest.raises(OnebitError, match="head"):
        split(nn.Sequential(nn.Linear(2, 2)), "0")
