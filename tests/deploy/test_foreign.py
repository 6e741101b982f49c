"""Networks as others write them: the file answers as the network does, on any images, or the export is refused."""

import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import onebit
from onebit import deploy
from onebit.errors import OnebitError
from onebit.nn import BinaryConv2d
from onebit.quantize import Sign

pytestmark = pytest.mark.usefixtures("one_thread")


def head() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]


def agree(net: nn.Module, folder: Path, example: Tensor | None = None) -> None:
    """Exports, and compares on images that the export has not seen."""
    net, x = net.eval(), torch.randn(16, 3, 8, 8)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = torch.randn(2, 3, 8, 8) if example is None else example
    kept = images.clone()
    deploy.export(net, folder / "m.obn", images, force=True)
    assert torch.equal(images, kept)
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())
    with torch.no_grad():
        expected = net(x.clone()).numpy()
    answers = onebit.load(folder / "m.obn")(x.numpy())
    same = np.abs(answers - expected.reshape(answers.shape)).max(axis=1) <= 1e-3 * np.abs(expected).max()
    assert same.mean() > 0.8  # where a sign within rounding of its threshold falls otherwise, an answer differs


class Written(nn.Module):
    """A network of one function of an image and the layers below."""

    def __init__(self, function: Callable[["Written", Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.conv, self.norm, self.binary = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), BinaryConv2d(8, 8, 3, padding=1)
        self.relu, self.clip = nn.ReLU(inplace=True), nn.Hardtanh(inplace=True)
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.function(self, x).mean((2, 3)))


def preactivated(net: Written, x: Tensor) -> Tensor:
    y = net.norm(net.conv(x))
    return net.binary(net.relu(y)) + y


def clipped_behind_a_shortcut(net: Written, x: Tensor) -> Tensor:
    y = net.conv(x)
    z = net.clip(net.norm(y))
    return net.binary(z) + y + z


def renamed(net: Written, x: Tensor) -> Tensor:
    y = net.conv(x)
    first = y
    y += net.binary(y)
    return y + first


def not_taken(net: Written, x: Tensor) -> Tensor:
    y = net.conv(x)
    y.add_(net.binary(y))
    return y


def through_a_view(net: Written, x: Tensor) -> Tensor:
    y = net.conv(x)
    flat = y.flatten(1)
    functional.relu_(flat)
    return y


def through_detach(net: Written, x: Tensor) -> Tensor:
    y = net.conv(x)
    y.detach().relu_()
    return net.binary(y) + y


def on_the_image(net: Written, x: Tensor) -> Tensor:
    functional.relu(x, inplace=True)
    return net.conv(x)


def twice(net: Written, x: Tensor) -> Tensor:
    y = net.conv(x)
    return net.relu(y) + net.clip(y)


def copies(net: Written, x: Tensor) -> Tensor:
    y = net.conv(x)
    residual = y.clone().detach().float().to(torch.float32).contiguous()
    y = net.binary(net.relu(y))
    y += residual
    return y


def pooled(net: Written, x: Tensor) -> Tensor:
    y = functional.max_pool2d(net.conv(x), 2)
    return net.binary(functional.relu(y, inplace=True)) + y


@pytest.mark.parametrize(
    "function",
    [
        preactivated,
        clipped_behind_a_shortcut,
        renamed,
        not_taken,
        through_a_view,
        through_detach,
        on_the_image,
        twice,
        copies,
        pooled,
        lambda net, x: functional.leaky_relu(net.conv(x), 0.3),
        lambda net, x: net.conv(x).clamp(-1, 1),
        lambda net, x: functional.avg_pool2d(net.conv(x), net.conv(x).size()[2:]),
        lambda net, x: functional.max_pool2d(net.conv(x), net.conv(x).shape[-1] // 2),
        lambda net, x: functional.dropout(net.conv(x), 0.5, net.training),
        lambda net, x: net.conv(x)[:, :, ::2, ::2],
        lambda net, x: functional.pad(net.conv(x), (0, 0, 0, 0, 0, 0)),
    ],
)
@pytest.mark.parametrize("constant", [False, True])
def test_the_file_follows_what_runs(
    function: Callable[[Written, Tensor], Tensor], constant: bool, tmp_path: Path
) -> None:
    agree(Written(function), tmp_path, torch.zeros(2, 3, 8, 8) if constant else None)


def set_item(net: Written, x: Tensor) -> Tensor:
    y = net.conv(x)
    y[:, 0] = 0
    return y


def part_in_place(net: Written, x: Tensor) -> Tensor:
    y = net.conv(x)
    y[:, :4].relu_()
    return y


def by_value(net: Written, x: Tensor) -> Tensor:
    y = net.conv(x)
    return functional.hardtanh(y, -1.0, y.tolist()[0][0][0][0] * 0 + 1)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (set_item, "'setitem' changed in place"),
        (part_in_place, "getitem"),
        (lambda net, x: torch.cat(net.conv(x).chunk(2, 1), 1), "'cat'.*its first input is not a layer's output"),
        (lambda net, x: torch.relu(net.conv(x).chunk(2, 1)[0]), "'getitem'.*its first input is not a layer's output"),
        (by_value, "'add' is computed from the image"),
        (lambda net, x: net.conv(x)[:, :, 1::2, 1::2], "only x"),
        (lambda net, x: net.conv(x)[:, :, :2, :2], "only x"),
        (lambda net, x: functional.pad(net.conv(x), (0, 0, 0, 0, 1, 0), value=1.0), "only zero channels"),
        (lambda net, x: functional.dropout(net.conv(x)), "drops in evaluation, too"),
        (lambda net, x: net.conv(x).double(), "float64"),
        (lambda net, x: net.conv(x) + torch.randn(1), "sum of two layers"),
        (lambda net, x: torch.relu(net.conv(x).data), "operation"),
        (lambda net, x: functional.hardtanh(net.conv(x), -1, torch.tensor(1.0)), "arguments are not those of Hardtanh"),
    ],
)
@pytest.mark.parametrize("constant", [False, True])
def test_what_the_file_cannot_follow(
    function: Callable[[Written, Tensor], Tensor], reason: str, constant: bool, tmp_path: Path
) -> None:
    with pytest.raises(OnebitError, match=reason):
        agree(Written(function), tmp_path, torch.zeros(2, 3, 8, 8) if constant else None)


@pytest.mark.parametrize(
    "first",
    [
        [nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True)],
        [nn.Conv2d(3, 8, 3), nn.Hardtanh(inplace=True)],
        [nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True)],
        [nn.ReLU(inplace=True), nn.Conv2d(3, 8, 3)],
        [nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.2, inplace=True)],
    ],
)
def test_activations_in_place_before_binary_layers(first: list[nn.Module], tmp_path: Path) -> None:
    agree(nn.Sequential(*first, BinaryConv2d(8, 8, 3), *head()), tmp_path)


def test_a_quantizer_in_place(tmp_path: Path) -> None:
    quantizer = nn.Sequential(nn.Hardtanh(inplace=True), Sign())
    agree(nn.Sequential(nn.Conv2d(3, 8, 3), BinaryConv2d(8, 8, 3, input_quantizer=quantizer), *head()), tmp_path)


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), *head())


class Last(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def tripled(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return output * 3


def doubled(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return output + output


def test_hooks_of_layers() -> None:
    for at, hook in ((1, tripled), (0, doubled), (4, tripled)):
        net = small()
        net[at].register_forward_hook(hook)
        with pytest.raises(OnebitError, match=f"layer '{at}' cannot be exported: its forward hook returns a value"):
            deploy.build(net, torch.randn(2, 3, 8, 8))
    net = small()
    net[1].register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    with pytest.raises(OnebitError, match="its pre-hook returns a value"):
        deploy.build(net, torch.randn(2, 3, 8, 8))


def test_hooks_that_only_look_may_stay(tmp_path: Path) -> None:
    net, seen = small(), []
    net[1].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    net.register_forward_pre_hook(lambda module, inputs: None)
    agree(net, tmp_path)
    assert seen


def test_a_hook_that_writes_is_refused(tmp_path: Path) -> None:
    net = small()
    net[0].register_forward_hook(lambda module, inputs, output: (output.mul_(3), None)[1])
    net[0].register_forward_hook(lambda module, inputs, output: None)
    with pytest.raises(OnebitError):
        agree(net, tmp_path)


def test_the_hook_of_a_block_is_followed(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), BinaryConv2d(8, 8, 3), *head())
    net[0].register_forward_hook(doubled)
    agree(net, tmp_path)
    net = small()
    net.register_forward_hook(doubled)
    agree(net, tmp_path)


def test_the_roots_own_call_is_followed(tmp_path: Path) -> None:
    replaced = small()
    replaced.forward = types.MethodType(lambda self, x: nn.Sequential.forward(self, x + x), replaced)
    agree(replaced, tmp_path)
    replaced.forward = types.MethodType(lambda self, x: nn.Sequential.forward(self, x) * 3, replaced)
    with pytest.raises(OnebitError, match="'mul'"):
        agree(replaced, tmp_path)


def test_a_replaced_method_of_a_layer() -> None:
    net = small()
    before = net[1].forward
    net[1].forward = lambda x: before(x) * 3
    with pytest.raises(OnebitError, match=r"layer '1' \(ReLU\).*its 'forward' was replaced"):
        deploy.build(net, torch.randn(2, 3, 8, 8))
    net = small()
    net[0]._conv_forward = lambda x, weight, bias: functional.conv2d(x, 2 * weight, bias)
    with pytest.raises(OnebitError, match=r"layer '0' \(Conv2d\).*its '_conv_forward' was replaced"):
        deploy.build(net, torch.randn(2, 3, 8, 8))


class Standardised(nn.Conv2d):
    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(x, weight - weight.mean((1, 2, 3), keepdim=True), bias)


class Called(nn.ReLU):
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x) * 3


class Scaled(BinaryConv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 3


@pytest.mark.parametrize("layer", [Standardised(3, 8, 3), nn.Sequential(nn.Conv2d(3, 8, 3), Called())])
def test_an_internal_of_a_class_of_ones_own(layer: nn.Module) -> None:
    with pytest.raises(OnebitError, match="0"):
        deploy.build(nn.Sequential(layer, *head()), torch.randn(2, 3, 8, 8))


def test_a_binary_layer_of_ones_own() -> None:
    with pytest.raises(OnebitError, match="its class Scaled has a 'forward' of its own"):
        deploy.build(nn.Sequential(nn.Conv2d(3, 8, 3), Scaled(8, 8, 3), *head()), torch.randn(2, 3, 8, 8))


def test_a_patched_class_is_found_by_trying_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: functional.relu(x) * 3)
    with pytest.raises(OnebitError, match="layer '0' answers otherwise in the file"):
        agree(small(), tmp_path)


class UnitMean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.abs().mean((1, 2, 3), keepdim=True)


class Centred(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.median()


class HalfMaximum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.amax((1, 2, 3), keepdim=True) / 2


class Dithered(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


@pytest.mark.parametrize(
    "part", [nn.GroupNorm(1, 8), nn.InstanceNorm2d(8), UnitMean(), Centred(), HalfMaximum(), Dithered()]
)
def test_quantizers_and_transforms_of_the_whole_sample(part: nn.Module) -> None:
    front = [nn.Conv2d(3, 8, 3, padding=1), BinaryConv2d(8, 8, 3, padding=1)]
    quantizer = BinaryConv2d(8, 8, 3, input_quantizer=nn.Sequential(part, Sign()))
    transformed = BinaryConv2d(8, 8, 3)
    transformed.output_transform = part
    for last in ([quantizer], [transformed], [transformed, BinaryConv2d(8, 8, 3)]):
        if isinstance(part, UnitMean) and last != [transformed]:
            continue  # a positive number changes no sign
        for example in (torch.randn(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)):
            with pytest.raises(OnebitError, match=r"'[123]"):
                deploy.build(nn.Sequential(*front, *last, *head()), example)


def test_layers_that_stay_in_training_mode(tmp_path: Path) -> None:
    class Always(nn.BatchNorm2d):
        def train(self, mode: bool = True) -> "Always":
            return super().train(True)

    with pytest.raises(OnebitError, match=r"layer '1' \(Always\) stays in training mode"):
        agree(nn.Sequential(nn.Conv2d(3, 8, 3), Always(8), *head()), tmp_path)


def test_a_network_that_changes_itself(tmp_path: Path) -> None:
    class Counting(Written):
        def __init__(self) -> None:
            super().__init__(lambda net, x: net.conv(x))
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(x)

    with pytest.raises(OnebitError, match="changes its 'calls'"):
        agree(Counting(), tmp_path)


def test_inputs(tmp_path: Path) -> None:
    class Optional(Written):
        def forward(self, x: Tensor, targets: Tensor | None = None) -> Tensor:
            return super().forward(x)

    class Two(Written):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return super().forward(x) + super().forward(y)

    agree(Optional(lambda net, x: net.conv(x)), tmp_path)
    with pytest.raises(OnebitError, match="its forward takes one image"):
        agree(Two(lambda net, x: net.conv(x)), tmp_path)


def test_a_sign_within_rounding_of_its_threshold_is_told_apart(tmp_path: Path) -> None:
    """A threshold that many sums of the first layer hit: PyTorch and the engine round them differently."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 5), BinaryConv2d(8, 8, 3), *head()).eval()
    with torch.no_grad():
        net[0].weight[:, :, :, 2:] = -net[0].weight[:, :, :, :3].flip(3)  # cancels on a flat image, but for rounding
        net[0].bias.zero_()
    flat = torch.rand(2, 3, 1, 1).expand(2, 3, 12, 12).contiguous()
    report = deploy.export(net, tmp_path / "m.obn", flat)
    assert report.verified.images == 8


def test_a_network_that_does_not_take_the_example() -> None:
    with pytest.raises(OnebitError, match=r"the network fails on the example.*channels"):
        deploy.build(small(), torch.randn(2, 4, 8, 8))


@pytest.mark.parametrize(
    "last",
    [
        nn.LogSoftmax(dim=1),
        nn.Softmax(dim=-1),
        Last(lambda x: functional.log_softmax(x, 1)),
        Last(lambda x: x.softmax(dim=1)),
    ],
)
def test_a_softmax_at_the_end_is_left_away(last: nn.Module, tmp_path: Path) -> None:
    net, x = nn.Sequential(small(), last).eval(), torch.randn(8, 3, 8, 8)
    report = deploy.export(net, tmp_path / "m.obn", x[:2])
    assert any("softmax at the end is left away" in note for note in report.notes)
    with torch.no_grad():
        assert np.allclose(onebit.load(tmp_path / "m.obn")(x.numpy()), net[0](x).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.Softmax(dim=1), *head()),
        nn.Sequential(small(), nn.Softmax(dim=0)),
        nn.Sequential(small(), nn.Softmax(dim=1), nn.ReLU()),
        nn.Sequential(small(), Last(lambda x: x.softmax(1) + x)),
    ],
)
def test_a_softmax_elsewhere_is_refused(net: nn.Module) -> None:
    with pytest.raises(OnebitError, match="only a softmax of the logits that ends the network"):
        deploy.build(net, torch.randn(2, 3, 8, 8))
