import copy
import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from onebit import cost, methods, models
from onebit.cost.energy import joule
from onebit.cost.memory import SavedForBackward
from onebit.errors import OnebitError
from onebit.methods import CycleBNN
from onebit.nn import BinaryConv2d, BinaryLinear, KBitLinear
from onebit.quantize import UniformQuantizer, UniformWeightQuantizer


class OneOfEachKind(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.depthwise = BinaryConv2d(8, 8, 3, padding=1, groups=8)
        self.grouped = BinaryConv2d(8, 16, (3, 1), stride=(2, 1), padding=(1, 0), groups=2)
        self.norm = nn.BatchNorm2d(16)
        self.up = nn.ConvTranspose2d(16, 4, 2, stride=2)
        self.dense = BinaryLinear(4 * 8 * 16, 20)
        self.norm1 = nn.BatchNorm1d(20)
        self.head = nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(self.norm(self.grouped(self.depthwise(self.stem(x)))))
        return self.head(self.norm1(self.dense(y.flatten(1))))


BY_HAND = {
    "stem": 8 * 8 * 8 * (3 * 5 * 5),  # 16 → 8
    "depthwise": 8 * 8 * 8 * 9,
    "grouped": 16 * 4 * 8 * (4 * 3),  # height 8 → 4
    "up": 4 * 8 * 16 * (4 * 2 * 2),  # each of the 4 × 8 inputs of 16 channels meets 4 filters of 2 × 2
    "dense": 512 * 20,
    "head": 20 * 5,
}


def test_every_kind_of_layer_by_hand() -> None:
    ledger = cost.count(OneOfEachKind(), torch.randn(1, 3, 16, 16))
    assert {layer.name: layer.macs["forward"] for layer in ledger.layers} == BY_HAND
    for layer in ledger.layers:
        assert layer.macs["weight"] == BY_HAND[layer.name]
        assert layer.macs["error"] == (0 if layer.name == "stem" else BY_HAND[layer.name])  # images need no gradient
    assert ledger.uncounted == ()
    binary = sum(BY_HAND[name] for name in ("depthwise", "grouped", "dense"))
    assert ledger.inference["bops"] == binary
    assert ledger.inference["flops"] == sum(BY_HAND.values()) - binary
    assert ledger.inference["ops"] == ledger.inference["flops"] + binary / 64


def test_resnet20_has_its_well_known_size() -> None:
    """Its convolutions and dense layer: 40.55 M."""
    net = models.create("resnet20_cifar")
    ledger = cost.count(net, torch.zeros(1, 3, 32, 32))
    stem, stages = 32**2 * 16 * 27, 32**2 * 6 * 16 * 144
    stages += 16**2 * 32 * (144 + 5 * 288) + 8**2 * 64 * (288 + 5 * 576)
    assert sum(layer.macs["forward"] for layer in ledger.layers) == stem + stages + 640
    assert ledger.inference["bops"] == stages


def test_savings_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), BinaryConv2d(4, 8, 3), nn.Flatten(), nn.Linear(8, 2))
    method = CycleBNN(bits=(4, 4), gradient_bits=8)
    method.attach(net)
    ledger = cost.count(net, torch.randn(1, 1, 5, 5), method)
    stem, binary, head = 9 * 4 * 9, 8 * 36, 16
    full = 2 * stem + 3 * binary + 3 * head
    real = 2 * stem + 3 * head
    assert ledger.saved_percent == pytest.approx(100 * (1 - (real + binary * (1 + 8 + 8) / 1024) / full))
    assert ledger.charged_saved_percent == pytest.approx(100 * (1 - (real + binary * (16 + 32 + 32) / 1024) / full))
    assert ledger.paper_formula_saved_percent == pytest.approx(100 * (1 - 80 / 3 / 1024))
    assert ledger.total == {(32, 32): real, (1, 1): binary, (8, 1): 2 * binary}
    spent = real * joule(32, 32) + binary * (joule(1, 1) + 2 * joule(8, 1))
    assert ledger.energy_joule["training"] == pytest.approx(spent)
    assert ledger.energy_joule["training_full_precision"] == pytest.approx(full * 4.6e-12)


def test_the_paper_s_figure_holds_for_any_network_and_ours_does_not() -> None:
    figures = []
    for name in ("resnet20_cifar", "small"):
        net, method = models.create(name), CycleBNN(bits=(2, 6), gradient_bits=8)
        method.attach(net)
        ledger = cost.count(net, torch.zeros(1, *net.input_shape), method)
        assert ledger.paper_formula_saved_percent == pytest.approx(97.32, abs=0.005)
        figures.append((ledger.saved_percent, ledger.charged_saved_percent))
        assert ledger.charged_saved_percent < 97.32  # the stem and the head are not free
    assert figures[0] != figures[1]


def test_a_full_precision_network_saves_nothing() -> None:
    ledger = cost.count(models.create("small", full_precision=True), torch.zeros(1, 1, 8, 8))
    assert (ledger.saved_percent, ledger.charged_saved_percent) == (0, 0)
    assert ledger.paper_formula_saved_percent is None
    assert ledger.inference["bops"] == 0


def test_a_binary_network_without_a_method_has_32_bit_gradients() -> None:
    ledger = cost.count(nn.Sequential(nn.Linear(4, 4), BinaryLinear(4, 4)), torch.randn(1, 4))
    assert ledger.layers[1].by_width("forward") == {(1, 1): 16}
    assert ledger.layers[1].by_width("error") == {(32, 1): 16}


def test_frozen_and_shared_layers() -> None:
    shared = nn.Linear(4, 4)
    net = nn.Sequential(nn.Linear(4, 4), shared, nn.Tanh(), shared)
    net[0].requires_grad_(False)
    ledger = cost.count(net, torch.randn(1, 4))
    assert ledger.layers[0].macs == {"forward": 16, "error": 0, "weight": 0}
    assert ledger.layers[1].macs == {"forward": 32, "error": 16, "weight": 32}  # a frozen layer's output needs none


def test_layers_that_cannot_be_counted_are_named() -> None:
    net = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(8, 2))
    assert cost.count(net, torch.zeros(1, 2, dtype=torch.long)).uncounted == ("0",)


def test_the_network_and_the_random_state_are_left_alone() -> None:
    torch.manual_seed(0)
    net = OneOfEachKind().eval()
    CycleBNN().attach(net)
    before, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    cost.count(net, torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), random)
    assert not net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_memory_of_saved_activations_is_measured() -> None:
    net = nn.Sequential(nn.Linear(10, 20), nn.Tanh(), nn.Linear(20, 3))
    for batch in (1, 2, 7):
        ledger = cost.count(net, torch.randn(1, 10), batch=batch)
        assert ledger.memory_bytes["activations"] == 4 * batch * (10 + 20)
    assert ledger.memory_bytes["optimizer"] == 2 * 4 * sum(p.numel() for p in net.parameters())
    assert ledger.memory_bytes["latent"] == 0


def test_operands_kept_for_backward_count_at_their_width() -> None:
    """A binary dense layer keeps its ±1 input for the weight gradient, and its quantiser the real-valued one."""
    net = nn.Sequential(nn.Linear(10, 24, bias=False), BinaryLinear(24, 5))
    ledger = cost.count(net, torch.randn(1, 10), batch=8)
    assert ledger.memory_bytes["activations"] == 8 * 4 * (10 + 24 + 24)
    assert ledger.counted_memory_bytes["activations"] == 8 * (4 * (10 + 24) + 24 // 8)
    assert ledger.memory_bytes["weights"] == 4 * (240 + 120)
    assert ledger.counted_memory_bytes["weights"] == 4 * 240 + 120 // 8
    assert ledger.memory_bytes["latent"] == ledger.counted_memory_bytes["latent"] == 4 * 120


def test_k_bit_layers_count_with_their_widths() -> None:
    quantizers = UniformQuantizer(bits=4), UniformWeightQuantizer(bits=3)
    net = nn.Sequential(nn.Linear(16, 16), KBitLinear(nn.Linear(16, 8, bias=False), *quantizers))
    ledger = cost.count(net, torch.randn(1, 16), batch=4)
    assert ledger.forward == {(32, 32): 256, (4, 3): 128}
    assert ledger.inference["flops"] == 256 + 128
    assert ledger.counted_memory_bytes["weights"] == 4 * (256 + 16) + 3 * 128 // 8
    assert ledger.memory_bytes["activations"] == 4 * 4 * (16 + 16)
    assert ledger.counted_memory_bytes["activations"] == 4 * (4 * 16 + 16 * 4 // 8)


def test_what_a_method_keeps_is_counted() -> None:
    """Bop: no latent weights, one average a weight. RBONN: the gradient before, in a buffer."""
    weights = 4 * 24 * 5
    for method, buffers, latent, slots in (
        (methods.Bop(), 0, 0, 1),
        (methods.Bop("second_order"), 0, 0, 2),
        (methods.RBONN(variant="released"), weights, weights, 2),
    ):
        net = nn.Sequential(nn.Linear(10, 24, bias=False), BinaryLinear(24, 5), nn.Linear(5, 2, bias=False))
        method.attach(net)
        ledger = cost.count(net, torch.randn(1, 10), method)
        others = sum(4 * p.numel() for p in net.parameters()) - weights
        assert buffers <= ledger.memory_bytes["buffers"] <= buffers + 64
        assert ledger.counted_memory_bytes["latent"] == latent
        assert ledger.memory_bytes["optimizer"] == 2 * others + slots * weights


OF_REAL_VALUED_NETWORKS = (methods.CPT, methods.PFQ)
OPTIONS = {methods.ReActNet: {"step": 2}}
NO_OPERANDS = (methods.Method, methods.Compose, methods.Distillation)  # of their own
METHODS = [
    kind
    for kind in vars(methods).values()
    if isinstance(kind, type) and issubclass(kind, methods.Method) and kind not in NO_OPERANDS
]


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("model", ["small", "resnet20_cifar"])
def test_every_method_can_be_counted(kind: type[methods.Method], model: str) -> None:
    """The products are those of the same network in 32 bits, at fewer; nothing is left out."""
    twin = models.create(model, full_precision=True)
    net, method = models.create(model, full_precision=kind in OF_REAL_VALUED_NETWORKS), kind(**OPTIONS.get(kind, {}))
    method.attach(net)
    example = torch.zeros(1, *net.input_shape)
    ledger, full = cost.count(net, example, method), cost.count(twin, example)
    assert [layer.macs for layer in ledger.layers] == [layer.macs for layer in full.layers]
    assert 80 < ledger.saved_percent < 100
    assert ledger.energy_joule["training"] < ledger.energy_joule["training_full_precision"]
    assert ledger.counted_memory_bytes["weights"] < 0.3 * ledger.memory_bytes["weights"]
    assert ledger.counted_memory_bytes["activations"] < ledger.memory_bytes["activations"]
    assert ledger.uncounted == ()


def test_nothing_of_a_measured_graph_is_kept() -> None:
    net = nn.Sequential(BinaryLinear(4, 3), nn.Tanh())
    x = torch.randn(2, 4, requires_grad=True)
    graph = weakref.ref(x)
    with SavedForBackward(net) as saved:
        y = net(x)
        saved.operand(y, 1)
    del x, y
    gc.collect()
    assert graph() is None


def test_an_unknown_optimiser_is_refused() -> None:
    with pytest.raises(OnebitError, match="sdg"):
        cost.count(nn.Linear(2, 2), torch.zeros(1, 2), optimizer="sdg")
