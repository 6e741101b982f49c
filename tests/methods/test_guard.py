"""A loop that leaves out what a method needs is refused at the optimiser's step; one that does not, is not."""

import gc
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn

from onebit.cost import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods import RBONN, BiReal, Bop, Compose, CycleBNN, Distillation, Method, ReActNet, optimizer_groups
from onebit.nn import BinaryConv2d

Make = Callable[[], Method]
Optimizers = Callable[[nn.Module, Method], list[torch.optim.Optimizer]]


def make_net() -> nn.Sequential:
    return nn.Sequential(BinaryConv2d(4, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 9, 3))


def distillation() -> Method:
    return Distillation(make_net())


def both() -> Method:
    return Compose([CycleBNN(), RBONN()])


class Own(Method):
    """A method of one's own, with a parameter and a hook that is inherited by what extends it."""

    def attach(self, net: nn.Module) -> None:
        net.register_parameter("own", nn.Parameter(torch.ones(1)))
        net.register_forward_hook(lambda net, inputs, y: y * net.own)

    def loss(self, loss: Tensor) -> Tensor:
        return 2 * loss

    def cost_rule(self) -> CostRule:
        return CostRule((Widths(),))


class Extended(Own):
    def step(self, t: int, total: int) -> None:
        pass


def grouped(net: nn.Module, method: Method) -> list[torch.optim.Optimizer]:
    return [torch.optim.Adam(optimizer_groups(net.parameters(), method.parameter_groups(), 1e-3, 1e-5))]


def train(method: Method, optimizers: Optimizers = grouped, leave_out: Iterable[str] = (), steps: int = 3) -> None:
    net = make_net()
    method.attach(net)
    made = optimizers(net, method)
    for t in range(steps):
        if "step" not in leave_out:
            method.step(t, steps)
        loss = net(torch.randn(2, 4, 5, 5)).square().mean()
        if "loss" not in leave_out:
            loss = method.loss(loss)
        for optimizer in made:
            optimizer.zero_grad()
        loss.backward()
        if "before_update" not in leave_out:
            method.before_update()
        for optimizer in made:
            optimizer.step()


@pytest.mark.parametrize("make", [RBONN, Bop, CycleBNN, BiReal, distillation, both, Own, Extended])
def test_a_whole_loop_is_taken(make: Make) -> None:
    train(make())


@pytest.mark.parametrize(
    ("make", "hook"),
    [
        (CycleBNN, "step"),
        (RBONN, "loss"),
        (RBONN, "before_update"),
        (Bop, "step"),
        (Bop, "before_update"),
        (distillation, "loss"),
        (both, "before_update"),
        (Own, "loss"),
        (Extended, "loss"),
        (Extended, "step"),
    ],
)
def test_a_hook_that_is_left_out_is_named(make: Make, hook: str) -> None:
    with pytest.raises(OnebitError, match=f"the optimiser stepped, but nobody called {hook} ") as caught:
        train(make(), leave_out=[hook], steps=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "hook"),
    [(CycleBNN, "loss"), (CycleBNN, "before_update"), (Bop, "loss"), (distillation, "step"), (BiReal, "step")],
)
def test_a_hook_that_does_nothing_may_be_left_out(make: Make, hook: str) -> None:
    train(make(), leave_out=[hook])


def test_a_hook_is_missed_in_a_later_iteration_too() -> None:
    net, method = make_net(), CycleBNN()
    method.attach(net)
    method.step(0, 2)
    (optimizer,) = grouped(net, method)
    net(torch.randn(2, 4, 5, 5)).sum().backward()
    optimizer.step()
    with pytest.raises(OnebitError, match="nobody called step"):
        optimizer.step()


@pytest.mark.parametrize("make", [RBONN, lambda: ReActNet(2)])
def test_an_optimizer_without_the_groups_is_refused(make: Make) -> None:
    with pytest.raises(OnebitError, match=r"no learning rate or decay of their own .*optimizer_groups"):
        train(make(), lambda net, _: [torch.optim.Adam(net.parameters(), weight_decay=1e-5)])


@pytest.mark.parametrize(("make", "count"), [(CycleBNN, 1), (Own, 1)])
def test_an_optimizer_older_than_the_method_is_refused(make: Make, count: int) -> None:
    def older(net: nn.Module, method: Method) -> list[torch.optim.Optimizer]:
        names = {name for name, _ in make_net().named_parameters()}
        return [torch.optim.Adam([p for name, p in net.named_parameters() if name in names])]

    with pytest.raises(OnebitError, match=f"{count} of the parameters that it added are in no optimiser"):
        train(make(), older)


def test_several_optimizers_share_an_iteration() -> None:
    def split(net: nn.Module, method: Method) -> list[torch.optim.Optimizer]:
        parameters = list(net.parameters())
        return [torch.optim.Adam(parameters[:2]), torch.optim.SGD(parameters[2:], lr=0.1)]

    train(CycleBNN(), split)


def test_others_are_left_alone() -> None:
    """An optimiser of another network, one whose parameters have no gradient, and all once the method is gone."""
    net, other, method = make_net(), make_net(), RBONN()
    method.attach(net)
    for trained in (other, net):
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.1) if trained is other else grouped(net, method)[0]
        if trained is other:
            trained(torch.randn(2, 4, 5, 5)).sum().backward()
        optimizer.step()
    del method
    gc.collect()
    net(torch.randn(2, 4, 5, 5)).sum().backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()


def test_a_second_method_on_the_same_network_is_refused() -> None:
    net = make_net()
    first = CycleBNN()
    first.attach(net)
    for second in (CycleBNN(), RBONN()):
        with pytest.raises(OnebitError, match=f"{type(second).__name__}: the network already has CycleBNN"):
            second.attach(net)
    both().attach(make_net())
    del first
    gc.collect()
    CycleBNN().attach(net)  # nobody trains it with the first any more
