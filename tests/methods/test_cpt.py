"""CPT: what its layers compute, and that a network learns with them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from onebit import cost, deploy, models
from onebit.errors import OnebitError
from onebit.methods import CPT, PFQ
from onebit.nn import KBitConv2d, KBitLinear
from onebit.quantize import quantize_gradient
from onebit.quantize.uniform import measure, quantize
from tests.methods.digits import accuracy_after

METHODS = {"cpt": lambda: CPT(bits=(3, 8), cycles=4), "pfq": lambda: PFQ(interval=5)}


def test_a_layer_computes_the_equations() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
    weight, bias = net[0].weight, net[0].bias
    CPT(bits=(3, 3), gradient_bits=5).attach(net)
    assert net[0].weight is weight
    x = torch.randn(2, 3, 5, 5, requires_grad=True)
    twins = [tensor.detach().clone().requires_grad_() for tensor in (x, weight)]
    y = functional.conv2d(
        quantize(twins[0], 3, *measure(twins[0])), quantize(twins[1], 3, *measure(twins[1], axis=0)), bias, padding=1
    )
    upstream = torch.randn_like(y)
    torch.manual_seed(1)
    quantize_gradient(y, 5).backward(upstream)
    torch.manual_seed(1)
    z = net(x)
    z.backward(upstream)
    assert torch.equal(z, y)
    assert torch.equal(x.grad, twins[0].grad)
    assert torch.equal(weight.grad, twins[1].grad)
    assert len(quantize(twins[1], 3, *measure(twins[1], axis=0))[0].unique()) <= 8


def test_every_layer_but_the_head_is_quantised_and_no_random_number_drawn() -> None:
    net = models.create("resnet20_cifar", full_precision=True)
    before, random = net.state_dict(), torch.get_rng_state()
    CPT().attach(net)
    assert torch.equal(torch.get_rng_state(), random)
    left = [name for name, module in net.named_modules() if type(module) in (nn.Conv2d, nn.Linear)]
    assert left == ["head"]
    assert sum(isinstance(module, KBitConv2d) for module in net.modules()) == 19
    after = net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_layer_in_two_places_stays_one() -> None:
    shared = nn.Linear(4, 4)
    net = nn.Sequential(shared, nn.ReLU(), shared, nn.Sequential(shared))
    CPT().attach(net)
    assert isinstance(net[0], KBitLinear)
    assert net[0] is net[2] is net[3][0]


@pytest.mark.slow
@pytest.mark.learning
@pytest.mark.usefixtures("one_thread")
def test_cpt_learns_the_digits(seed: int, record_property: Callable[[str, object], None]) -> None:
    accuracy = accuracy_after(METHODS["cpt"](), seed, full_precision=True)
    record_property("top1", accuracy)
    assert accuracy > 0.93


@pytest.mark.learning
@pytest.mark.usefixtures("one_thread")
def test_pfq_learns_the_digits_and_reaches_its_last_stage(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    method = PFQ(interval=5, threshold=0.2, decay=0.6)
    accuracy = accuracy_after(method, seed, full_precision=True)
    record_property("top1", accuracy)
    record_property("stage", method.stage)
    assert accuracy > 0.93
    assert method.stage == 3


@pytest.mark.parametrize("name", METHODS)
def test_binary_and_empty_networks_are_refused(name: str) -> None:
    with pytest.raises(OnebitError, match="has quantised layers"):
        METHODS[name]().attach(models.create("small"))
    with pytest.raises(OnebitError, match="no convolution or dense layer"):
        METHODS[name]().attach(nn.Sequential(nn.ReLU()))
    with pytest.raises(OnebitError, match="not attached"):
        METHODS[name]().step(0, 1)


@pytest.mark.parametrize("name", METHODS)
def test_export_refuses_in_one_line(name: str, tmp_path: Path) -> None:
    net = models.create("small", full_precision=True)
    METHODS[name]().attach(net)
    with pytest.raises(OnebitError, match=r"layer 'stem.0' \(KBitConv2d\) cannot be exported: its input has 3 bits"):
        deploy.export(net, tmp_path / "m.obn", torch.randn(2, 1, 8, 8))
    assert list(tmp_path.iterdir()) == []


def test_the_ledger_counts_the_widths() -> None:
    def small() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))

    net, method = small(), CPT(bits=(4, 4))
    method.attach(net)
    ledger = cost.count(net, torch.randn(1, 1, 5, 5), method)
    assert ledger.forward == {(4, 4): 324 + 72}
    assert ledger.backward == {(8, 4): 324 + 2 * 72}
    assert ledger.paper_formula_saved_percent == pytest.approx(100 * (1 - (16 + 32 + 32) / 3 / 1024))

    net, method = small(), CPT(bits=(3, 8))
    method.attach(net)
    ledger = cost.count(net, torch.randn(1, 1, 5, 5), method)
    assert {layer.inference for layer in ledger.layers} == {(8, 8)}  # where training ends
    assert ledger.forward.keys() == {(b, b) for b in range(3, 9)}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bits": (8, 3)}, "CPT: bits from 8 to 3"), ({"cycles": 0}, "0 cycles"), ({"schedule": "sine"}, "no schedule")],
)
def test_bad_arguments_are_refused(options: dict, message: str) -> None:
    with pytest.raises(OnebitError, match=message):
        CPT(**options)
