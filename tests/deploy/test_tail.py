"""A cut network packed: the same answers, bit for bit where it is binary, and what a device needs to train its tail."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import onebit
from onebit import OnebitError, deploy, methods, models
from onebit.deploy.tail import describe, latent_levels, replay_bits, tail_nodes
from onebit.deploy.trace import trace
from onebit.format.graph import ConvBinary
from onebit.nn import BinaryConv2d, binary_layers
from onebit.quantize import MagnitudeAwareSign
from tests.deploy.nets import ISAS, assert_same_answer, randomize

pytestmark = pytest.mark.usefixtures("one_thread")

LARGE = [
    ("birealnet18", {"input_size": 32}, "stages.3.0"),
    ("reactnet18", {"input_size": 32}, "stages.3.1"),
    ("resnet18_imagenet", {"input_size": 32}, "stages.3.0"),
    ("birealnet18", {"input_size": 32}, "stages.2.3"),
]
CUTS = [
    ("small", {}, "blocks.1"),
    ("small", {}, "blocks.0"),
    *(pytest.param(*cut, marks=pytest.mark.slow) for cut in LARGE),
]


def cut_net(name: str = "small", at: str = "blocks.1", **options: object) -> tuple[nn.Module, torch.Tensor]:
    net = models.create(name, latent_sign=at, **options)
    images = torch.randn(6, *net.input_shape)
    net.train()(images)
    return randomize(net, seed=1), images


@pytest.mark.parametrize(("name", "options", "at"), CUTS)
def test_packed_equals_torch(name: str, options: dict, at: str, tmp_path: Path) -> None:
    net, images = cut_net(name, at, **options)
    assert_same_answer(net, tmp_path, images, ISAS if name == "small" else ISAS[-1:])


def test_the_latents_are_those_of_the_network(tmp_path: Path) -> None:
    net, images = cut_net()
    seen = []
    net.get_submodule("blocks.1.1").register_forward_hook(lambda module, inputs, output: seen.append(output))
    path = tmp_path / "m.obn"
    deploy.export(net, path, images, teachable=deploy.Teachable())
    with torch.no_grad():
        net(images)
    latents = onebit.load(path)(images.numpy(), "latents")
    assert np.array_equal(latents, seen[-1].numpy())


def test_without_teachable_nothing_is_added(tmp_path: Path) -> None:
    net, images = cut_net()
    plain = deploy.export(net, tmp_path / "plain.obn", images)
    assert "latents" not in onebit.load(tmp_path / "plain.obn").outputs
    teachable = deploy.export(net, tmp_path / "m.obn", images, teachable=deploy.Teachable(images, [0, 1, 2, 3, 4, 5]))
    assert teachable.bytes > plain.bytes
    assert teachable.notes[2:] == ["teachable: 2 layers behind the cut; 6 latents of 192 bytes to replay"]
    both = [onebit.load(tmp_path / name) for name in ("plain.obn", "m.obn")]
    assert np.array_equal(both[0](images.numpy()), both[1](images.numpy()))


def test_what_is_added(tmp_path: Path) -> None:
    net, images = cut_net()
    labels = [5, 4, 3, 2, 1, 0]
    with torch.no_grad():
        graph = deploy.build(net, images, cut=True)
    meta, extra = describe(graph, images, deploy.Teachable(images, labels))
    nodes = tail_nodes(graph)
    assert [node.kind for node in nodes] == ["binarize", "conv_binary", "average_pool", "pointwise"]
    assert nodes[-1].output is graph.outputs["features"]
    assert len(meta["tail.ranges"]) == 2 * 4  # latents, and three values of floats
    assert meta["tail.estimators"].tolist() == [2]
    first = int(meta["tail.latent"][0])
    assert meta["tail.replay"].tolist() == [first + 1, *labels]
    assert extra[1].shape == (6, 4, 4, 96)
    assert np.array_equal(extra[1], replay_bits(graph, images))
    levels, largest = extra[0], meta["tail.latent_max"][0]
    weight = dict(binary_layers(net))["blocks.2.conv"].weight.detach().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(levels < 0, weight < 0)
    assert np.abs(levels * (largest / 127) - weight).max() <= 1.000001 * largest / 127
    assert np.abs(levels).max() == 127


def test_a_small_negative_weight_keeps_its_sign() -> None:
    net, images = cut_net()
    layer = dict(binary_layers(net))["blocks.2.conv"]
    with torch.no_grad():
        layer.weight[0, 0, 0] = torch.tensor([-1e-9, 1e-9, 0.0])
        graph = deploy.build(net, images, cut=True)
    conv = next(node for node in graph.nodes if node.name == "blocks.2.conv")
    assert isinstance(conv, ConvBinary)
    assert latent_levels(conv)[0][0, 0, :, 0].tolist() == [-1, 0, 0]


@pytest.mark.parametrize("method", [methods.CycleBNN(bits=(2, 4)), methods.ReCU(), methods.IRNet()])
def test_levels_of_weights_that_a_method_bends(method: methods.Method) -> None:
    net = models.create("small", latent_sign="blocks.1")
    methods.apply(method, net)
    method.step(0, 10)
    layer = dict(binary_layers(net))["blocks.2.conv"]
    with torch.no_grad():
        layer.weight += 0.01
        images = torch.randn(8, 1, 8, 8)
        net.train()(images)
        graph = deploy.build(net.eval(), images, cut=True)
        packed = layer.quantized_weight().permute(0, 2, 3, 1).numpy() < 0
    (conv,) = (node for node in tail_nodes(graph) if isinstance(node, ConvBinary))
    levels, largest = latent_levels(conv)
    assert np.array_equal(levels < 0, packed)
    weight = layer.weight.detach().permute(0, 2, 3, 1).numpy()
    assert np.corrcoef(levels.flatten(), weight.flatten())[0, 1] > 0.95
    assert 0 < largest < 2 * np.abs(weight).max()


def test_weights_of_other_signs_are_refused() -> None:
    net, images = cut_net()
    with torch.no_grad():
        graph = deploy.build(net, images, cut=True)
    (conv,) = (node for node in tail_nodes(graph) if isinstance(node, ConvBinary))
    conv.latent = np.random.default_rng(0).standard_normal(conv.weight.shape).astype(np.float32)
    with pytest.raises(OnebitError, match="not the signs"):
        latent_levels(conv)


class Net(nn.Module):
    """A stem, the blocks given, a mean and a head."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.input_shape = (2, 4, 4)
        self.stem = nn.Conv2d(2, 8, 1)
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.blocks(self.stem(x))).flatten(1))


class Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class Beside(nn.Module):
    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.first(x) + self.second(x)


def conv(**options: object) -> BinaryConv2d:
    return BinaryConv2d(8, 8, 3, padding=1, weight_quantizer=MagnitudeAwareSign(), **options)


def zeros(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    return layer


def test_what_halves_the_sides_can_be_taught(tmp_path: Path) -> None:
    shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(8, 8, 1))
    net = Net(nn.Identity(), Beside(conv(stride=2), shortcut), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1)).eval()
    models.registry.insert_latent_sign(net, "blocks.0")
    images, path = torch.randn(8, 2, 4, 4), tmp_path / "m.obn"
    report = deploy.export(net, path, images, teachable=deploy.Teachable())
    assert report.notes[2:] == ["teachable: 3 layers behind the cut; 0 latents of 64 bytes to replay"]
    kinds = [node.kind for node in tail_nodes(deploy.build(net, images, cut=True))]
    assert kinds == ["binarize", "average_pool", "conv_float", "conv_binary", "max_pool", "conv_float", "average_pool"]
    assert_same_answer(net, tmp_path, images, ISAS[-1:])


def test_real_valued_layers_of_the_tail_stay_float32(tmp_path: Path) -> None:
    net = Net(nn.Identity(), nn.Conv2d(8, 8, 1)).eval()
    models.registry.insert_latent_sign(net, "blocks.0")
    images = torch.randn(8, 2, 4, 4)
    report = deploy.export(
        net, tmp_path / "m.obn", images, real_valued="int8", int8_tolerance=1.0, teachable=deploy.Teachable()
    )
    kinds = {layer.name: (layer.kind, layer.why) for layer in report.layers}
    assert kinds["stem"][0] == kinds["head"][0] == "conv_int8"
    assert kinds["blocks.1"][0] == "conv_float"
    assert kinds["blocks.1"][1].endswith("stays float32: a device trains it")


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([nn.Identity(), nn.Sequential(conv(), conv())], "writes bits"),
        ([nn.Identity(), conv(groups=2)], "groups"),
        ([nn.Identity(), conv(padding_value=1)], "padding"),
        ([nn.Identity(), nn.Conv2d(8, 8, 1, groups=2)], "groups"),
        ([nn.Identity(), nn.Conv2d(8, 8, 3, padding=2, dilation=2)], "dilation"),
        ([nn.Identity(), zeros(nn.Conv2d(8, 8, 1))], "make no levels"),
        ([nn.Identity(), nn.Conv2d(8, 3700, 3, padding=1), nn.Conv2d(3700, 8, 3, padding=1)], "terms"),
        ([nn.Identity(), nn.Conv2d(8, 7400, 3, padding=1), nn.Conv2d(7400, 8, 1)], "output channels"),
        ([nn.Identity(), nn.AvgPool2d(3, padding=1)], "it has padding"),
    ],
)
def test_a_tail_that_cannot_be_taught_is_refused(blocks: list[nn.Module], reason: str, tmp_path: Path) -> None:
    net = Net(*blocks)
    models.registry.insert_latent_sign(net, "blocks.0")
    with pytest.raises(OnebitError, match=reason):
        deploy.export(net.eval(), tmp_path / "m.obn", torch.randn(2, 2, 4, 4), teachable=deploy.Teachable())
    assert not (tmp_path / "m.obn").exists()


def test_windows_that_overlap_too_often_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(nn.Identity(), nn.AvgPool2d(2, stride=1)).eval()
    models.registry.insert_latent_sign(net, "blocks.0")
    graph = deploy.build(net, torch.randn(2, 2, 4, 4), cut=True)
    assert [node.kind for node in tail_nodes(graph)] == ["average_pool", "average_pool"]
    monkeypatch.setattr("onebit.deploy.tail._MAX_WINDOWS", 3)
    with pytest.raises(OnebitError, match="windows of it overlap"):
        tail_nodes(graph)


def test_a_network_without_a_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OnebitError, match="no cut"):
        deploy.export(
            models.create("small").eval(), tmp_path / "m.obn", torch.randn(2, 1, 8, 8), teachable=deploy.Teachable()
        )


def test_a_cut_that_is_bypassed_is_refused(tmp_path: Path) -> None:
    net = Net(Around(nn.Sequential(nn.Identity(), conv())))
    models.registry.insert_latent_sign(net, "blocks.0.inner.0")
    with pytest.raises(OnebitError, match="bypasses"):
        deploy.export(net.eval(), tmp_path / "m.obn", torch.randn(2, 2, 4, 4), teachable=deploy.Teachable())


def test_an_inverted_threshold_is_refused() -> None:
    net, images = cut_net()
    with torch.no_grad():
        graph = deploy.build(net, images, cut=True)
    tail_nodes(graph)[0].interval[3] = -np.inf, 0.5
    with pytest.raises(OnebitError, match="threshold upwards"):
        tail_nodes(graph)


def test_an_untrained_cut_states_its_scale() -> None:
    net = models.create("small", latent_sign="blocks.1").eval()
    images = torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        graph = deploy.build(net, images, cut=True)
    describe(graph, images, deploy.Teachable())
    cut = graph.producer(graph.outputs["latents"])
    assert isinstance(cut, ConvBinary)
    assert cut.epilogue.scale is not None
    assert (cut.epilogue.scale == 1).all()


def test_labels_must_fit(tmp_path: Path) -> None:
    net, images = cut_net()
    for labels in ([0], [0, 1, 2, 3, 4, 10]):
        with pytest.raises(OnebitError, match="labels"):
            deploy.export(net, tmp_path / "m.obn", images, teachable=deploy.Teachable(images, labels))


def test_the_cut_is_two_nodes() -> None:
    net, images = cut_net()
    kinds = [(node.kind, node.name) for node in trace(net, images).graph.nodes if node.name.startswith("blocks.1.1")]
    assert kinds == [("binarize", "blocks.1.1.sign"), ("conv_binary", "blocks.1.1")]
