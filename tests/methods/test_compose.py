"""Methods together: CycleBNN × RBONN against the equations of its page, and the schedule of the calls."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from onebit.cost import CostRule, Widths
from onebit.errors import OnebitError
from onebit.methods import RBONN, Bop, Compose, CycleBNN, Method, ParameterGroup
from onebit.methods.cyclebnn import weight_sign
from onebit.nn import BinaryConv2d, BinaryLinear
from onebit.quantize import quantize_gradient
from tests.methods.test_rbonn import over, per


class Noted(Method):
    """Writes down its name with every call."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls
        self.parameter = nn.Parameter(torch.zeros(1))
        self.state: Any = None

    def attach(self, net: nn.Module) -> None:
        self.calls.append(f"attach {self.name}")

    def step(self, t: int, total: int) -> None:
        self.calls.append(f"step {self.name} {t} {total}")

    def loss(self, loss: Tensor) -> Tensor:
        return 2 * loss + (self.name == "a")

    def before_update(self) -> None:
        self.calls.append(f"before_update {self.name}")

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup((self.parameter,), 0.5)]

    def state_dict(self) -> dict[str, Any]:
        return {"name": self.name}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state

    def cost_rule(self) -> CostRule:
        return CostRule((Widths(),))


def test_every_occasion_reaches_all_in_their_order() -> None:
    calls: list[str] = []
    one, other = Noted("a", calls), Noted("b", calls)
    method = Compose([one, other])
    method.attach(nn.Identity())
    method.step(3, 7)
    method.before_update()
    assert calls == ["attach a", "attach b", "step a 3 7", "step b 3 7", "before_update a", "before_update b"]
    assert method.loss(torch.tensor(1.0)) == 6
    assert [group.parameters for group in method.parameter_groups()] == [(one.parameter,), (other.parameter,)]
    method.load_state_dict(method.state_dict())
    assert (one.state, other.state) == ({"name": "a"}, {"name": "b"})


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    variant=st.sampled_from(["released", "paper"]),
    bits=st.integers(1, 6),
    lam=st.sampled_from([0.0, 1e-2]),
    dense=st.booleans(),
)
def test_cyclebnn_times_rbonn_is_that_of_its_page(seed: int, variant: Any, bits: int, lam: float, dense: bool) -> None:
    torch.manual_seed(seed)
    layer = (BinaryLinear(7, 5) if dense else BinaryConv2d(2, 5, 3, padding=1)).double()
    method = Compose([CycleBNN(bits=(bits, bits), gradient_bits=8), RBONN(variant, 0.4, lam)])
    method.attach(layer)
    quantizer = layer.weight_quantizer
    quantizer.previous.copy_(0.1 * torch.randn_like(layer.weight))
    x = (torch.randn(3, 7) if dense else torch.randn(3, 2, 4, 4)).double()
    method.step(0, 1)
    y = layer(x)
    upstream = torch.randn_like(y)
    torch.manual_seed(seed)
    method.loss((y * upstream).sum()).backward()

    w, scale, u = layer.weight.detach(), quantizer.scale.detach(), quantizer.u.detach()
    returned = per(u * quantizer.mask(), w) * quantizer.previous
    wt = w - returned if variant == "released" else w + returned
    b = weight_sign(wt, bits).requires_grad_()
    alpha = 0.02 * scale.abs() if variant == "released" else 1 / scale
    behind = alpha.view(-1, *[1] * (y.dim() - 2))
    twin = quantize_gradient(layer.product(layer.input_quantizer(x), b), 8) * behind  # as CycleBNN has its own scale
    torch.testing.assert_close(y, twin)
    torch.manual_seed(seed)
    (g,) = torch.autograd.grad((twin * upstream).sum(), b)
    g, b = g / per(alpha, w), b.detach()
    if variant == "released":
        s, signs = per(scale.abs(), w), 0.02 * b
        residual = wt - signs * s
        dw = g * s + lam * residual
        ds = scale.sign() * ((g * wt).sum(over(w)) - lam * (residual * signs).sum(over(w)))
        du = -quantizer.mask() * (dw * quantizer.previous).sum(over(w))
    else:
        a = per(scale, w)
        residual = b - a * wt
        dw = g / a - 2 * lam * a * residual
        ds = -(g * b / a**2).sum(over(w)) - 2 * lam * (residual * wt).sum(over(w))
        du = quantizer.mask() * (g / a * quantizer.previous).sum(over(w))
    for found, expected in ((layer.weight.grad, dw), (quantizer.scale.grad, ds), (quantizer.u.grad, du)):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_cyclebnn_s_scale_is_taken_out_and_its_gradient_quantiser_stays() -> None:
    layer = BinaryLinear(4, 3)
    Compose([CycleBNN(gradient_bits=5), RBONN()]).attach(layer)
    assert [module.bits for module in layer.output_transform.module] == [5]
    assert not any("alpha" in name for name, _ in layer.named_parameters())


def test_the_wrong_order_is_noticed() -> None:
    net = nn.Sequential(BinaryLinear(4, 3))
    method = Compose([RBONN(), CycleBNN()])
    method.attach(net)
    with pytest.raises(OnebitError, match="replaced its weight quantisers"):
        method.step(0, 1)


def test_the_ledger_counts_the_narrowest_operands() -> None:
    cycle, both = CycleBNN(gradient_bits=(4, 8)), Compose([CycleBNN(gradient_bits=(4, 8)), RBONN()])
    assert both.cost_rule().operands == cycle.cost_rule().operands
    assert both.cost_rule().charged == cycle.cost_rule().charged
    assert Compose([Noted("a", []), RBONN()]).cost_rule() == RBONN().cost_rule()
    bop = Bop().cost_rule()
    assert Compose([Noted("a", []), Bop()]).cost_rule() == bop
    assert (bop.latent, bop.slots) == (False, 1)
    with pytest.raises(OnebitError, match="two methods change"):
        Compose([CycleBNN(), CycleBNN()]).cost_rule()


def test_nothing_to_compose_is_refused() -> None:
    with pytest.raises(OnebitError, match="no methods"):
        Compose([])
