"""Quantised backpropagation in integers against autograd in float on the same network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from onebit import deploy, models
from onebit.deploy.tail import replay_bits
from onebit.format.codes import Estimator, Op
from tests.continual.cut_digits import cut_digits
from tests.oracle.learner import convolutions, nodes
from tests.oracle.learner.convolutions import Convolution
from tests.oracle.learner.head import Random
from tests.oracle.learner.network import QuantizedTail
from tests.oracle.learner.nodes import Node
from tests.oracle.learner.packed_tail import PackedNode, PackedTail, read_tail

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("scale", "bias", "slope", "post")


class _Signs(torch.autograd.Function):
    """sign(x − t) with the clipped or the quadratic estimator."""

    @staticmethod
    def forward(ctx, x: Tensor, threshold: Tensor, quadratic: bool) -> Tensor:
        ctx.save_for_backward(x - threshold)
        ctx.quadratic = quadratic
        return torch.where(x >= threshold, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        slope = (2 - 2 * x.abs()).clamp(min=0) if ctx.quadratic else (x.abs() <= 1).to(x.dtype)
        return gradient * slope, None, None


class FloatTail:
    """The tail of a file in float64. With ``values`` each value is replaced by what is given, straight through."""

    def __init__(self, packed: PackedTail) -> None:
        self.packed = packed
        self.parameters: dict[tuple[int, str], Tensor] = {}
        convs = iter(zip(packed.latent, packed.latent_max, packed.estimators, strict=True))
        self.estimators: dict[int, int] = {}
        for node in packed.nodes:
            if node.op == Op.CONV_BINARY:
                levels, largest, self.estimators[node.output] = next(convs)
                self._add(node.output, "weight", levels * (largest / 127))
            elif node.op == Op.CONV_FLOAT:
                self._add(node.output, "weight", node.tensors[0])
            if node.op in (Op.CONV_BINARY, Op.CONV_FLOAT, Op.POINTWISE):
                for name, tensor in zip(NAMES, node.tensors[node.op != Op.POINTWISE :][:4], strict=True):
                    if tensor is not None:
                        self._add(node.output, name, tensor)

    def _add(self, node: int, name: str, value: np.ndarray) -> None:
        self.parameters[node, name] = torch.from_numpy(value.astype(np.float64)).requires_grad_()

    def features(self, latents: Tensor, values: dict[int, Tensor] | None = None) -> Tensor:
        made: dict[int, Tensor] = {self.packed.latents: latents}
        thresholds = {n.output: (n.inputs[0], n.tensors[0][:, 0]) for n in self.packed.nodes if n.op == Op.BINARIZE}
        for node in self.packed.nodes:
            if node.op == Op.BINARIZE:
                continue
            if node.op in (Op.AVERAGE_POOL, Op.MAX_POOL, Op.PAD_CHANNELS):
                y = self._fixed(node, made[node.inputs[0]])
            else:
                y = self._affine(node, made, thresholds)
            if values is not None:
                y = y + (values[node.output] - y).detach()
            made[node.output] = y
        return made[self.packed.features].flatten(1)

    def _fixed(self, node: PackedNode, x: Tensor) -> Tensor:
        if node.op == Op.PAD_CHANNELS:
            return functional.pad(x, node.attributes)
        x, kernel, stride = x.permute(0, 3, 1, 2), node.attributes[:2], node.attributes[2:4]
        top, left, bottom, right = node.attributes[4:8]
        if node.op == Op.AVERAGE_POOL:
            return functional.avg_pool2d(x, kernel, stride).permute(0, 2, 3, 1)
        padded = functional.pad(x, (left, right, top, bottom), value=-torch.inf)
        return functional.max_pool2d(padded, kernel, stride).permute(0, 2, 3, 1)

    def _affine(self, node, made: dict[int, Tensor], thresholds: dict[int, tuple[int, np.ndarray]]) -> Tensor:
        scale, bias, slope, post = (self.parameters.get((node.output, name)) for name in NAMES)
        activation = node.attributes[0] if node.op == Op.POINTWISE else node.attributes[9]
        if node.op == Op.POINTWISE:
            y = made[node.inputs[0]]
        else:
            weight = self.parameters[node.output, "weight"]
            if node.op == Op.CONV_BINARY:
                source, lower = thresholds[node.inputs[0]]
                quadratic = self.estimators[node.output] == Estimator.QUADRATIC
                x = _Signs.apply(made[source], torch.from_numpy(lower).double(), quadratic)
                weight = weight + (torch.where(weight >= 0, 1.0, -1.0) - weight).detach()
            else:
                x = made[node.inputs[0]]
            top, left, bottom, right = node.attributes[2:6]
            x = functional.pad(x, (0, 0, left, right, top, bottom)).permute(0, 3, 1, 2)
            y = functional.conv2d(x, weight.permute(0, 3, 1, 2), stride=node.attributes[:2]).permute(0, 2, 3, 1)
        y = y if scale is None else y * scale
        y = y if bias is None else y + bias
        y = y if len(node.inputs) == 1 else y + made[node.inputs[1]]
        y = {0: lambda v: v, 1: torch.relu, 2: functional.hardtanh, 3: lambda v: torch.where(v < 0, v * slope, v)}[
            activation
        ](y)
        return y if post is None else y + post


def integer_gradients(
    tail: QuantizedTail, gradient: Tensor, unit: float, monkeypatch: pytest.MonkeyPatch
) -> dict[tuple[int, str], Tensor]:
    """What a step of rate 1 would subtract, in real units, before it is rounded."""
    steps: list[Tensor] = []

    def recorded(masters: Tensor, sums: Tensor, rate: float, key: int, first: int, maximum: int) -> Tensor:
        steps.append(sums.double() * rate)
        return masters

    for module in (nodes, convolutions):
        monkeypatch.setattr(module, "stepped", recorded)
    tail.backward(gradient, unit, 1.0, Random(5))
    found: dict[tuple[int, str], Tensor] = {}
    taken = iter(steps)
    for place in reversed(tail._places):
        node = place.node
        if not isinstance(node, Node):
            continue
        if isinstance(node, Convolution):
            found[place.output, "weight"] = next(taken) * node.unit
        step = node.out.step
        scales = (step / node.source / 2**node.fraction * node.variance, step / 65536, 1 / 65536, step / 65536)
        for name, there, unit_of in zip(NAMES, node.trained, scales, strict=True):
            if there:
                found[place.output, name] = next(taken) * unit_of
    assert next(taken, None) is None
    return found


def compared(packed: PackedTail, negative: Tensor, labels: Tensor, monkeypatch: pytest.MonkeyPatch, same: bool):
    """(node, name) -> cosine of the two gradients, and the ratio of their lengths, of softmax cross-entropy."""
    tail, reference = QuantizedTail(packed), FloatTail(packed)
    tail.forward(negative)
    values = {value: tail.levels[value].step * levels.double() for value, levels in tail._values.items()}
    scale = torch.from_numpy(packed.scale).double()
    latents = values[packed.latents] if same else torch.where(negative, -scale, scale)
    features = reference.features(latents, values if same else None)
    features.retain_grad()
    bias = 0 if packed.bias is None else torch.from_numpy(packed.bias)
    logits = features @ torch.from_numpy(packed.weight).double().T
    functional.cross_entropy(logits + bias, labels).backward()
    largest = float(features.grad.abs().max())
    unit = largest / 20000
    found = integer_gradients(tail, torch.round(features.grad / unit).long(), unit, monkeypatch)
    assert found.keys() == reference.parameters.keys()
    result = {}
    for key, integer in found.items():
        real = reference.parameters[key].grad
        lengths = float(integer.norm()), float(real.norm())
        result[key] = float((integer * real).sum()) / (lengths[0] * lengths[1]), lengths[0] / lengths[1]
    return result


@pytest.fixture(scope="module", params=[False, True], ids=["straight", "narrowing"])
def digits_tail(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> tuple[PackedTail, Tensor, Tensor]:
    data = cut_digits(6, seed, down=request.param)
    path = tmp_path_factory.mktemp("tail") / "m.obn"
    data.export(path, 0)
    chosen = data.indices(data.train, 0, data.old)[:96]
    return read_tail(path), torch.from_numpy(data.latents(path, chosen)) < 0, data.labels[chosen]


@pytest.mark.slow
@pytest.mark.learning
def test_on_the_same_values(digits_tail, monkeypatch: pytest.MonkeyPatch, record_property) -> None:
    """Forward values being equal, only the rounding of gradients is left."""
    found = compared(*digits_tail, monkeypatch, same=True)
    record_property("cosine", min(cosine for cosine, _ in found.values()))
    record_property("length", max(abs(ratio - 1) for _, ratio in found.values()))
    for key, (cosine, ratio) in found.items():
        assert cosine > 0.98, key
        assert abs(ratio - 1) < 0.05, key


@pytest.mark.slow
@pytest.mark.learning
def test_against_the_float_network(digits_tail, monkeypatch: pytest.MonkeyPatch, record_property) -> None:
    """With 8-bit values some bits behind thresholds are others."""
    found = compared(*digits_tail, monkeypatch, same=False)
    record_property("cosine", min(cosine for cosine, _ in found.values()))
    record_property("length", max(abs(ratio - 1) for _, ratio in found.values()))
    for key, (cosine, ratio) in found.items():
        assert cosine > 0.9, key
        assert abs(ratio - 1) < 0.1, key


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "at", "options"),
    [
        ("birealnet18", "stages.3.1", {"input_size": 32}),
        ("resnet18_imagenet", "stages.3.1", {"input_size": 32}),
        ("birealnet18", "stages.2.3", {"input_size": 32}),
        ("resnet18_imagenet", "stages.2.1", {"input_size": 32}),
        ("reactnet_a", "blocks.10", {"input_size": 32, "width": 8}),
        ("small", "blocks.0", {}),
    ],
)
def test_networks(name: str, at: str, options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = models.create(name, latent_sign=at, **options)
    images = torch.randn(12, *net.input_shape)
    with torch.no_grad():
        net.train()(images)
        graph = deploy.build(net.eval(), images, cut=True)
    deploy.export(net, tmp_path / "m.obn", images, teachable=deploy.Teachable())
    negative = torch.from_numpy(replay_bits(graph, images))
    packed = read_tail(tmp_path / "m.obn")
    for key, (cosine, ratio) in compared(packed, negative, torch.arange(12) % 10, monkeypatch, same=True).items():
        assert cosine > 0.99, key
        assert abs(ratio - 1) < 0.02, key
