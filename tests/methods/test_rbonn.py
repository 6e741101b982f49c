"""RBONN's layers against a transcription of its equations, and its gradients against finite differences."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from onebit.errors import OnebitError
from onebit.methods import RBONN, ReCU, optimizer_groups
from onebit.methods.rbonn import ranks
from onebit.nn import BinaryConv2d, BinaryLayer, BinaryLinear
from onebit.quantize import IdentitySign, MagnitudeAwareSign

TAUS = ["0", "0.25", "0.4", "0.6", "0.9", "1"]
Product = Callable[[Tensor], Tensor]


def sign(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0).to(x)


def places(values: Tensor) -> list[int]:
    """The rank of each value, from 1."""
    order = sorted(range(len(values)), key=lambda c: (float(values[c]), c))
    return [order.index(c) + 1 for c in range(len(values))]


def over(w: Tensor) -> tuple[int, ...]:
    return tuple(range(1, w.dim()))


def per(values: Tensor, w: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (w.dim() - 1))


class Released:
    """The sheet's released code, an equation a line: one iteration with its gradients, then descent."""

    def __init__(self, w: Tensor, s: Tensor, u: Tensor, tau: str, lam: float) -> None:
        self.w, self.scale, self.u, self.lam = w.clone(), s.clone(), u.clone(), lam
        self.previous = torch.zeros_like(w)
        self.channels = int(len(w) * (1 - Fraction(tau)))

    def iteration(self, product: Product, upstream: Tensor, lr: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        s = per(self.scale.abs(), self.w)
        m = torch.tensor([float(rank <= self.channels) for rank in places(self.scale.abs())]).double()
        wt = self.w - per(self.u * m, self.w) * self.previous
        b = 0.02 * sign(wt)
        q = (b * s).requires_grad_()
        y = product(q)
        (g,) = torch.autograd.grad((y * upstream).sum(), q)
        dw = self.lam * (wt - b * s) + g * s
        ds = self.scale.sign() * ((g * wt).sum(over(g)) - self.lam * ((wt - b * s) * b).sum(over(g)))
        du = -m * (dw * self.previous).sum(over(g))
        self.w, self.scale, self.u = self.w - lr * dw, self.scale - lr * ds, self.u - lr * du
        self.previous = dw
        return y.detach(), dw, ds, du


class Paper:
    """The sheet's formulation, with A and U kept positive by the absolute value after each update."""

    def __init__(self, w: Tensor, a: Tensor, u: Tensor, tau: str, lam: float) -> None:
        self.w, self.scale, self.u, self.lam = w.clone(), a.clone(), u.clone(), lam
        self.previous = torch.zeros_like(w)
        self.threshold = int(len(w) * Fraction(tau))

    def iteration(self, product: Product, upstream: Tensor, lr: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dense = [rank > self.threshold for rank in places(self.previous.abs().sum(over(self.w)))]
        large = [rank > self.threshold for rank in places(self.scale)]
        m = torch.tensor([float(a and not d) for a, d in zip(large, dense, strict=True)]).double()
        drelu = per(m, self.w) * self.previous
        wt, a = self.w + per(self.u, self.w) * drelu, per(self.scale, self.w)
        b = sign(wt)
        q = (b / a).requires_grad_()
        y = product(q)
        (g,) = torch.autograd.grad((y * upstream).sum(), q)
        residual = b - a * wt
        dw = g / a - 2 * self.lam * a * residual
        da = -(g * b / a**2).sum(over(g)) - 2 * self.lam * (residual * wt).sum(over(g))
        du = (g / a * drelu).sum(over(g))
        self.w, self.scale, self.u = wt - lr * dw, (self.scale - lr * da).abs(), (self.u - lr * du).abs()
        self.previous = wt
        return y.detach(), dw, da, du


def make_layer(dense: bool, groups: int, channels: int) -> BinaryLayer:
    if dense:
        return BinaryLinear(7, channels * groups).double()
    return BinaryConv2d(2 * groups, channels * groups, 3, padding=1, groups=groups).double()


def follow(layer: BinaryLayer, variant: Any, tau: str, lam: float, initial_u: float, lr: float) -> None:
    """Trains the layer and its transcription side by side for a few iterations."""
    method = RBONN(variant, float(tau), lam, initial_u, u_lr_factor=1.0)
    method.attach(layer)
    quantizer = layer.weight_quantizer
    transcribed = {"released": Released, "paper": Paper}[variant]
    twin = transcribed(layer.weight.data, quantizer.scale.data, quantizer.u.data, tau, lam)
    optimizer = torch.optim.SGD(layer.parameters(), lr=lr)
    dense = isinstance(layer, BinaryLinear)
    for t in range(4):
        x = torch.randn((2, 7) if dense else (2, layer.in_channels, 4, 3)).double().requires_grad_()
        method.step(t, 4)
        y = layer(x)
        upstream = torch.randn(y.shape).double()
        optimizer.zero_grad()
        method.loss((y * upstream).sum()).backward()
        torch.testing.assert_close(quantizer.scale.detach().abs(), twin.scale.abs())
        # |A| and |u| of the paper's are the transcription's A and u
        sides = [p.detach().sign() if variant == "paper" else 1 for p in (quantizer.scale, quantizer.u)]
        found = [y.detach(), layer.weight.grad, quantizer.scale.grad * sides[0], quantizer.u.grad * sides[1]]
        weight, signs = quantizer(layer.weight).detach(), sign(x.detach())
        torch.testing.assert_close(found, list(twin.iteration(lambda q, b=signs: layer.product(b, q), upstream, lr)))
        ahead = signs.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((layer.product(ahead, weight) * upstream).sum(), ahead)
        torch.testing.assert_close(x.grad, gradient * (2 - 2 * x.detach().abs()).clamp_min(0))
        method.before_update()
        optimizer.step()
        torch.testing.assert_close(quantizer.previous, twin.previous)
        torch.testing.assert_close(layer.weight.data, twin.w)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    variant=st.sampled_from(["released", "paper"]),
    tau=st.sampled_from(TAUS),
    lam=st.sampled_from([0.0, 1e-4, 1e-2]),
    dense=st.booleans(),
    groups=st.integers(1, 2),
    channels=st.integers(1, 6),
)
def test_training_is_that_of_the_sheet(
    seed: int, variant: Any, tau: str, lam: float, dense: bool, groups: int, channels: int
) -> None:
    torch.manual_seed(seed)
    follow(make_layer(dense, groups, channels), variant, tau, lam, initial_u=0.2, lr=0.02)


def test_the_absolute_value_where_used_is_that_after_the_update() -> None:
    torch.manual_seed(0)
    layer = make_layer(True, 1, 12)
    follow(layer, "paper", "0.5", 1e-4, initial_u=1e-3, lr=0.05)
    assert (layer.weight_quantizer.u < 0).any()  # it crossed zero, where the two could differ


def central(function: Callable[[], Tensor], parameter: Tensor) -> Tensor:
    """Finite differences of a scalar."""
    gradient = torch.empty_like(parameter)
    flat, step = parameter.data.view(-1), 1e-6
    for i in range(len(flat)):
        value = flat[i].item()
        ends = []
        for end in (value + step, value - step):
            flat[i] = end
            with torch.no_grad():
                ends.append(float(function()))
        flat[i] = value
        gradient.view(-1)[i] = (ends[0] - ends[1]) / (2 * step)
    return gradient


@pytest.mark.parametrize("dense", [False, True])
def test_gradient_of_a_is_that_of_finite_differences(dense: bool) -> None:
    """Both terms: of the task's loss through the output, and of λ G."""
    torch.manual_seed(0)
    layer = make_layer(dense, 1, 5)
    method = RBONN("paper", tau=0.4, bilinear_weight=0.3)
    method.attach(layer)
    quantizer = layer.weight_quantizer
    method.before_update()
    x = (torch.randn(3, 7) if dense else torch.randn(3, 2, 4, 4)).double()

    def loss() -> Tensor:
        return method.loss(layer(x).square().mean())

    loss().backward()
    assert quantizer.mask().sum() > 0
    torch.testing.assert_close(quantizer.a.grad, central(loss, quantizer.a), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_gradients_of_the_bilinear_term_are_those_of_finite_differences(variant: Any) -> None:
    """Of w and of the scale, with the sign held fixed: no weight lies within a step of zero."""
    torch.manual_seed(0)
    layer = make_layer(False, 1, 5)
    method = RBONN(variant, tau=0.4, bilinear_weight=0.3)
    method.attach(layer)
    quantizer = layer.weight_quantizer
    layer.weight.grad = torch.randn_like(layer.weight) * 0.1
    method.before_update()
    layer.weight.grad = None

    def term() -> Tensor:
        return method.loss(torch.zeros((), dtype=torch.float64))

    term().backward()
    assert quantizer.recurrent(layer.weight).abs().min() > 1e-5
    for parameter in (quantizer.scale, layer.weight) if variant == "released" else (quantizer.a,):
        torch.testing.assert_close(parameter.grad, central(term, parameter), rtol=1e-6, atol=1e-7)
    if variant == "paper":  # through ŵ, with its return fixed
        method.tau = quantizer.tau = 1.0
        layer.zero_grad()
        term().backward()
        torch.testing.assert_close(layer.weight.grad, central(term, layer.weight), rtol=1e-6, atol=1e-6)


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0, 3.0]), min_size=1, max_size=12))
def test_ranks(values: list[float]) -> None:
    x = torch.tensor(values)
    assert [rank + 1 for rank in ranks(x).tolist()] == places(x)


def test_the_control_takes_as_many_channels_and_others() -> None:
    torch.manual_seed(0)
    masks = []
    for ranking in ("true", "argsort"):
        layer = BinaryLinear(3, 50)
        RBONN(tau=0.6, ranking=ranking).attach(layer)
        layer.weight_quantizer.s.data = torch.linspace(-1, 2, 50)[torch.randperm(50, generator=torch.manual_seed(1))]
        masks.append(layer.weight_quantizer.mask())
    assert masks[0].sum() == masks[1].sum() == 20
    assert not torch.equal(*masks)
    s = layer.weight_quantizer.s.abs()
    assert s[masks[0] == 1].max() < s[masks[0] == 0].min()


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_u_first_moves_in_the_second_iteration_and_by_adam_s_whole_first_step(variant: Any) -> None:
    torch.manual_seed(0)
    net, method = nn.Sequential(BinaryConv2d(8, 8, 3)), RBONN(variant, tau=0.5)
    method.attach(net)
    u = net[0].weight_quantizer.u
    optimizer = torch.optim.Adam(optimizer_groups(net.parameters(), method.parameter_groups(), 1e-3, 0.0))
    steps, seen = [], []
    for t in range(2):
        method.step(t, 2)
        optimizer.zero_grad()
        method.loss(net(torch.randn(4, 8, 6, 6)).square().sum()).backward()
        method.before_update()
        optimizer.step()
        steps.append(u in optimizer.state)
        seen.append((u.detach() - 0.2).abs())
    assert steps == [False, True]
    assert not seen[0].any()
    returned = u.grad != 0
    assert returned.any()
    torch.testing.assert_close(seen[1], 1e-4 * returned, rtol=1e-2, atol=1e-9)  # a tenth of the rate


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_tau_of_one_switches_the_recurrence_off(variant: Any) -> None:
    torch.manual_seed(0)
    layer = BinaryLinear(9, 8)
    RBONN(variant, tau=1.0).attach(layer)
    layer.weight_quantizer.previous.normal_()
    assert torch.equal(layer.weight_quantizer.recurrent(layer.weight), layer.weight)


def test_only_the_paper_s_recurrence_answers_in_evaluation() -> None:
    torch.manual_seed(0)
    for variant, lasts in (("paper", True), ("released", False)):
        layer = BinaryLinear(9, 8)
        RBONN(variant, tau=0.5, initial_u=50.0).attach(layer)
        layer.weight_quantizer.previous.normal_()
        trained = layer.quantized_weight()
        assert torch.equal(layer.eval().quantized_weight(), trained) is lasts


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_weights_have_one_scale_a_channel(variant: Any) -> None:
    layer = BinaryConv2d(3, 8, 3)
    RBONN(variant).attach(layer)
    weight = layer.eval().quantized_weight().abs().flatten(1)
    assert layer.weight_quantizer.precision == 1
    assert torch.equal(weight, weight[:, :1].expand_as(weight))


def test_u_learns_slowly_and_neither_it_nor_the_scale_decays() -> None:
    net = nn.Sequential(BinaryConv2d(2, 3, 1), BinaryConv2d(3, 4, 1))
    method = RBONN(u_lr_factor=0.1)
    method.attach(net)
    u, s = method.parameter_groups()
    assert (u.lr_factor, u.decay, s.lr_factor, s.decay) == (0.1, False, 1.0, False)
    assert [p.shape for p in u.parameters] == [p.shape for p in s.parameters] == [(3,), (4,)]


def test_a_model_s_own_estimator_gives_way_and_a_method_s_sign_stays() -> None:
    layer = BinaryLinear(4, 3, weight_quantizer=MagnitudeAwareSign())
    RBONN().attach(layer)
    assert type(layer.weight_quantizer.sign) is IdentitySign
    layer = BinaryLinear(4, 3)
    ReCU().attach(layer)
    own = layer.weight_quantizer
    RBONN().attach(layer)
    assert layer.weight_quantizer.sign is own
    assert layer.output_transform(torch.ones(2, 3)).equal(torch.ones(2, 3))  # without ReCU's scale


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "book"}, "no variant 'book'"),
        ({"ranking": "wrong"}, "no ranking 'wrong'"),
        ({"variant": "paper", "ranking": "argsort"}, "a control of the released code"),
        ({"tau": 1.5}, "tau is 1.5"),
        ({"bilinear_weight": -1.0}, "bilinear_weight is -1.0"),
    ],
)
def test_bad_arguments_are_refused(options: dict, message: str) -> None:
    with pytest.raises(OnebitError, match=message):
        RBONN(**options)


def test_networks_that_it_cannot_train_are_refused() -> None:
    with pytest.raises(OnebitError, match="no binary layer"):
        RBONN().attach(nn.Linear(2, 2))
    layer = BinaryLinear(4, 2)
    RBONN().attach(layer)
    with pytest.raises(OnebitError, match="not a sign to build on"):
        RBONN().attach(layer)


def test_without_another_method_nothing_stands_behind_the_product() -> None:
    layer = BinaryLinear(4, 2)
    RBONN().attach(layer)
    assert type(layer.output_transform) is nn.Identity
