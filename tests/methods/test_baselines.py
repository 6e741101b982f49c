"""What every baseline must do: learn, go on where it stopped, and answer packed as in training."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from onebit import cost, data, models
from onebit.errors import OnebitError
from onebit.methods import BiReal, Bop, IRNet, Method, ReCU
from onebit.nn import BinaryConv2d, BinaryLinear, binary_layers
from tests.deploy.nets import assert_same_answer, randomize

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 200


def bop() -> Method:
    return Bop("bop", gamma=(0.1, 1e-3), threshold=1e-5)


def second_order_bop() -> Method:
    return Bop("second_order", gamma=(0.1, 0.01), threshold=0.1)


def unbiased_second_order_bop() -> Method:
    return Bop("second_order_unbiased", gamma=(0.1, 0.01), threshold=0.3)


METHODS: list[Callable[[], Method]] = [BiReal, IRNet, ReCU, bop, second_order_bop, unbiased_second_order_bop]


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    source = data.create("digits")
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (source.mean, source.std))
    (train, labels), (test, test_labels) = source.train(), source.test()
    return (train / 255 - mean) / std, labels, (test / 255 - mean) / std, test_labels


class Run:
    """A plain PyTorch loop whose whole state can be saved and restored."""

    def __init__(self, method: Method, seed: int) -> None:
        torch.manual_seed(seed)
        self.net, self.method, self.seed = models.create("small", width=16), method, seed
        method.attach(self.net)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-2, weight_decay=1e-5)
        self.decay = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, STEPS)
        self.images, self.labels, self.test, self.test_labels = digits()

    def train(self, start: int, end: int) -> None:
        for t in range(start, end):
            self.method.step(t, STEPS)
            generator = torch.Generator().manual_seed(self.seed * STEPS + t)
            batch = torch.randint(len(self.images), (32,), generator=generator)
            logits = self.net.train()(self.images[batch])
            loss = self.method.loss(functional.cross_entropy(logits, self.labels[batch]))
            self.optimizer.zero_grad()
            loss.backward()
            self.method.before_update()
            self.optimizer.step()
            self.decay.step()

    @torch.no_grad()
    def accuracy(self) -> float:
        return float((self.net.eval()(self.test).argmax(1) == self.test_labels).float().mean())

    def parts(self) -> list[Any]:
        return [self.net, self.method, self.optimizer, self.decay]


@pytest.mark.slow
@pytest.mark.learning
@pytest.mark.parametrize("method", METHODS)
def test_learns_the_digits_resumes_and_answers_the_same_packed(
    method: Callable[[], Method], tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    whole = Run(method(), seed)
    whole.train(0, 120)
    saved = copy.deepcopy([part.state_dict() for part in whole.parts()])
    whole.train(120, STEPS)
    accuracy = whole.accuracy()
    record_property("top1", accuracy)
    assert accuracy > 0.88

    resumed = Run(method(), seed)
    for part, state in zip(resumed.parts(), saved, strict=True):
        part.load_state_dict(state)
    resumed.train(120, STEPS)
    for key, value in whole.net.state_dict().items():
        assert torch.equal(value, resumed.net.state_dict()[key]), key

    assert_same_answer(whole.net.eval(), tmp_path, whole.test[:64])


@pytest.mark.slow
@pytest.mark.parametrize("method", [BiReal, IRNet, ReCU, bop])
@pytest.mark.parametrize("name", ["resnet20_cifar", "resnet20_irnet", "resnet20_recu", "reactnet18", "vgg_small"])
def test_other_networks_are_exported(name: str, method: Callable[[], Method], tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = models.create(name, **({"input_size": 32} if name == "reactnet18" else {}))
    method().attach(net)
    assert_same_answer(randomize(net, seed=1), tmp_path, torch.randn(2, *net.input_shape))


@pytest.mark.parametrize("method", METHODS)
def test_quantizers_keep_the_contract(method: Callable[[], Method]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(BinaryConv2d(3, 8, 3), nn.Flatten(), BinaryLinear(8 * 16, 4))
    method().attach(net)
    for _, layer in binary_layers(net.eval()):
        weight = layer.quantized_weight()
        alpha = weight.abs().flatten(1)
        assert torch.equal(alpha, alpha[:, :1].expand_as(alpha))
        assert layer.weight_quantizer.precision == layer.input_quantizer.precision == 1
        x = torch.linspace(-9, 9, 4001).view(1, 1, 1, -1)
        y = layer.input_quantizer(x).flatten()
        assert (y.diff() >= 0).all()
        assert (y.min(), y.max()) == (-1, 1)


@pytest.mark.parametrize("method", METHODS)
def test_the_ledger_counts_one_bit_forward(method: Callable[[], Method]) -> None:
    net, rule = models.create("small"), method()
    rule.attach(net)
    ledger = cost.count(net, torch.zeros(1, 1, 8, 8), rule)
    binary = sum(layer.macs["forward"] for layer in ledger.layers if layer.quantized)
    assert ledger.forward[1, 1] == binary > 0
    assert ledger.backward[32, 1] == 2 * binary


@pytest.mark.parametrize("method", METHODS)
def test_a_network_without_binary_layers_is_refused(method: Callable[[], Method]) -> None:
    with pytest.raises(OnebitError, match=f"{type(method()).__name__}: the network has no binary layer"):
        method().attach(nn.Linear(2, 2))
