"""Networks of torch's layers, binarised by the stated rule."""

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import onebit
from onebit import deploy, methods
from onebit.errors import OnebitError
from onebit.nn import BinaryConv2d, BinaryLinear, binarize, binary_layers

pytestmark = pytest.mark.usefixtures("one_thread")


class Residual(nn.Module):
    """As people write it, in place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding="same")
        self.bn2 = nn.BatchNorm2d(channels)
        self.act = nn.Hardtanh(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.act(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x
        return self.act(out)


class Foreign(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Hardtanh(inplace=True))
        self.blocks = nn.ModuleList([Residual(16), Residual(16)])
        self.fc1, self.norm, self.fc = nn.Linear(16 * 16, 64), nn.BatchNorm1d(64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = functional.avg_pool2d(x, 2).view(x.size(0), -1)
        return self.fc(functional.hardtanh(self.norm(self.fc1(x)), inplace=True))


def test_first_and_last_stay() -> None:
    net = Foreign()
    weights = {name: parameter for name, parameter in net.named_parameters()}
    assert binarize(net) is net
    names = [name for name, _ in binary_layers(net)]
    assert names == [f"blocks.{i}.conv{j}" for i in (0, 1) for j in (1, 2)] + ["fc1"]
    assert isinstance(net.blocks[0].conv1, BinaryConv2d)
    assert isinstance(net.fc1, BinaryLinear)
    assert {name: parameter for name, parameter in net.named_parameters()} == weights  # the same objects
    assert net.blocks[0].conv2.padding == (1, 1, 1, 1)


def test_what_is_kept() -> None:
    assert [name for name, _ in binary_layers(binarize(Foreign(), keep=["stem", "blocks.1", "fc", "fc1"]))] == [
        "blocks.0.conv1",
        "blocks.0.conv2",
    ]
    assert "fc1" in [name for name, _ in binary_layers(binarize(Foreign(), keep=["fc"]))]  # a name, not a prefix
    with pytest.raises(OnebitError, match=r"no module 'blocks.3' .*blocks\.[01]"):
        binarize(Foreign(), keep=["blocks.3"])


def test_a_shared_layer_stays_shared() -> None:
    conv = nn.Conv2d(4, 4, 3)
    net = binarize(nn.Sequential(nn.Conv2d(4, 4, 1), conv, nn.Sequential(conv), nn.Flatten(), nn.Linear(4, 2)))
    assert net[1] is net[2][0]
    assert isinstance(net[1], BinaryConv2d)


class Scaled(nn.Conv2d):
    pass


def hooked() -> nn.Module:
    conv = nn.Conv2d(4, 4, 3)
    conv.register_forward_hook(lambda module, inputs, output: output * 2)
    return conv


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Scaled(4, 4, 3), "layer '1' is a Scaled"),
        (parametrizations.weight_norm(nn.Conv2d(4, 4, 3)), "layer '1' is a ParametrizedConv2d"),
        (hooked(), "layer '1' has a hook"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "layer '1': .*padding_mode is 'reflect'"),
        (nn.ReLU(), "no layer to binarise"),
    ],
)
def test_what_has_no_binary_form_is_named(layer: nn.Module, reason: str) -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 1), layer, nn.Conv2d(4, 4, 1))
    before = [*net]
    with pytest.raises(OnebitError, match=reason):
        binarize(net)
    assert [*net] == before
    with pytest.raises(OnebitError, match="no layer to binarise"):
        binarize(nn.Linear(2, 2), keep=[])


@pytest.mark.slow
@pytest.mark.learning
def test_it_learns_the_digits_with_a_method_and_is_packed(seed: int, tmp_path: Path, record_property) -> None:
    digits = load_digits()
    x = torch.from_numpy(digits.images).float()[:, None] / 8 - 1
    y = torch.from_numpy(digits.target)
    net, method, steps = binarize(Foreign()), methods.ReCU(), 300
    method.attach(net)
    groups = methods.optimizer_groups(net.parameters(), method.parameter_groups(), lr=3e-3, weight_decay=0.0)
    optimizer = torch.optim.AdamW(groups)
    generator = torch.Generator().manual_seed(seed)
    for t in range(steps):
        method.step(t, steps)
        chosen = torch.randint(1437, (64,), generator=generator)
        loss = method.loss(functional.cross_entropy(net(x[chosen]), y[chosen]))
        optimizer.zero_grad()
        loss.backward()
        method.before_update()
        optimizer.step()
    report = deploy.export(net.eval(), tmp_path / "m.obn", x[:64])
    packed = {layer.name for layer in report.layers if layer.packed}
    assert packed == {"blocks.0.conv1", "blocks.0.conv2", "blocks.1.conv1", "blocks.1.conv2", "fc1"}
    with torch.no_grad():
        right = float((net(x[1437:]).argmax(1) == y[1437:]).float().mean())
    told = onebit.load(tmp_path / "m.obn")(x[1437:].numpy()).argmax(axis=1)
    record_property("top-1", right)
    assert abs(float((told == y[1437:].numpy()).mean()) - right) <= 0.01
    assert right >= 0.75
