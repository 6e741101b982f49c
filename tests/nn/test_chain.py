"""Units computed as one, beside their modules: exactly with the oracle's passes, and by the engine's."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from onebit import _engine, methods
from onebit.models.resnet import CifarBlock
from onebit.nn import BinaryConv2d, Block, PadChannels, Unit, chain, native_block, use_native
from onebit.quantize.uniform import quantize
from tests.nn.blocks import BLOCKS, METHODS, exact_twin, gradients, made
from tests.oracle.fused import Exact, Fused, cyclic_thresholds

ISA = _engine.training_isa("") or "portable"


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Fused:
    """Passes whose gradients no level rounds."""
    passes = Exact()
    for module in (chain, native_block):
        monkeypatch.setattr(module, "passes", lambda threads, isa: passes)
    return passes


def fused(net: nn.Module, threads: int = 1, isa: str = ISA, storage: Any = "float32") -> nn.Module:
    """Its blocks' binary layers, all of them."""
    report = use_native(net, threads, isa, storage)
    assert len(report.fused) == sum(isinstance(module, BinaryConv2d) for module in net.modules())
    return net


def assert_near(found: Tensor, wanted: Tensor, share: float, name: str = "") -> None:
    """Within a share of the largest."""
    error = (found.double() - wanted.double()).abs().max()
    assert float(error) <= share * float(wanted.abs().max()) + 1e-12, name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("block", BLOCKS)
def test_gradients_are_those_of_autograd(block: str, method: str, oracle: Fused) -> None:
    net = made(block, method)
    twin = exact_twin(net)
    x = torch.randn(4, 8, 6, 6)
    g = torch.randn_like(copy.deepcopy(net)(x))
    fused(net)
    y, found = gradients(net, x, g)
    expected, wanted = gradients(twin, x.double(), g.double())
    assert_near(y, expected, 1e-6)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert_near(found[name], gradient, 2e-5, name)
    for (name, buffer), other in zip(net.named_buffers(), twin.buffers(), strict=True):
        assert_near(buffer, other, 1e-5, name)


@pytest.mark.parametrize("block", ["cifar", "imagenet", "bireal", "react", "mobile_wider", "small"])
@pytest.mark.parametrize("method", ["plain", "irnet", "cyclebnn", "cyclebnn_rbonn", "recu"])
def test_noise_of_the_engine_has_no_mean(block: str, method: str) -> None:
    net = made(block, method)
    twin = exact_twin(net)
    x = torch.randn(3, 8, 4, 4)
    expected = twin(x.double()).detach()
    g = torch.randn(expected.shape)
    _, wanted = gradients(twin, x.double(), g.double())
    fused(net)
    draws: dict[str, list[Tensor]] = {}
    for _ in range(100):
        y, found = gradients(net, x, g)
        assert_near(y, expected, 1e-5)
        for name, gradient in found.items():
            draws.setdefault(name, []).append(gradient.double())
    for name, each in draws.items():
        values = torch.stack(each)
        error = (values.mean(0) - wanted[name]).abs()
        largest = wanted[name].abs().max()
        assert bool((error <= 6 * values.std(0) / 10 + 1e-5 * largest).all()), name


def test_gradients_along_the_signs_of_scaled_weights_have_no_noise() -> None:
    net = made("bireal", "bireal")
    twin = exact_twin(net)
    fused(net)
    weights: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, weight: Tensor) -> None:
        weight.retain_grad()
        weights.append(weight)

    def gradient_of(weight: Tensor) -> Tensor:
        assert weight.grad is not None
        return weight.grad

    for each in (net, twin):
        each[0].conv.weight_quantizer.register_forward_hook(keep)
    x, g = torch.randn(4, 8, 6, 6), torch.randn(4, 8, 6, 6)
    gradients(net, x, g)
    gradients(twin, x.double(), g.double())
    found, wanted = ((gradient_of(weight) * weight.detach().sign()).sum((1, 2, 3)) for weight in weights)
    assert_near(found, wanted, 1e-4)


def test_levels_are_those_of_the_method() -> None:
    net = nn.Sequential(BLOCKS["bireal"]())
    method = methods.CycleBNN(gradient_bits=2)
    method.attach(net)
    x, g = torch.randn(4, 8, 6, 6), torch.randn(4, 8, 6, 6)
    wanted = gradients(exact_twin(net), x.double(), g.double())[1]["0.conv.weight"]
    fused(net)
    errors = []
    for bits in (2, 8):
        method.set_bits(2, bits)
        errors.append(float((gradients(net, x, g)[1]["0.conv.weight"] - wanted).norm()))
    assert errors[0] > 10 * errors[1]


@pytest.mark.parametrize("block", BLOCKS)
def test_bfloat16_is_near(block: str) -> None:
    net = made(block, "plain")
    twin = exact_twin(net)
    x = torch.randn(16, 8, 6, 6).bfloat16().float()  # so that no residual moves over a threshold by rounding
    g = torch.randn(twin(x.double()).shape)
    twin = exact_twin(net)
    expected, wanted = gradients(twin, x.double(), g.double())
    fused(net, storage="bfloat16")
    y, found = gradients(net, x, g)
    assert y.dtype == torch.float32
    # a sign or two of a second unit may differ
    assert float((y - expected).abs().median()) <= 2**-8 * float(expected.abs().max())
    for name, gradient in wanted.items():
        error = float((found[name] - gradient).norm() / gradient.norm())
        assert error < 0.3, (name, error)


@pytest.mark.parametrize("method", ["plain", "cyclebnn", "irnet"])
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
def test_threads_give_the_same_bits(method: str, storage: str) -> None:
    x, results = torch.randn(5, 8, 6, 6), []
    g = torch.randn(5, 8, 6, 6)
    for threads in (1, 2, 3):
        net = fused(made("imagenet", method), threads, storage=storage)
        torch.manual_seed(1)
        results.append(gradients(net, x, g))
    for y, found in results[1:]:
        assert torch.equal(y, results[0][0])
        assert all(torch.equal(gradient, results[0][1][name]) for name, gradient in found.items())


def test_noise_follows_the_seed() -> None:
    net = fused(made("cifar", "plain"))
    x, g, found = torch.randn(3, 8, 5, 5), torch.randn(3, 8, 5, 5), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(gradients(net, x, g)[1][""])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_forward_draws_nothing() -> None:
    net = fused(made("cifar", "plain"))
    state = torch.get_rng_state()
    net(torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("block", ["cifar", "bireal", "mobile"])
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
def test_gradient_that_is_not_finite_stays_so(bad: float, block: str, storage: str) -> None:
    net = fused(made(block, "plain"), storage=storage)
    x = 0.1 * torch.randn(2, 8, 4, 4)
    y = net(x)
    g = torch.randn_like(y)
    g[tuple(y.detach().abs().eq(y.detach().abs().min()).nonzero()[0])] = bad  # where no Hardtanh keeps it out
    _, found = gradients(net, x, g)
    for name, gradient in found.items():
        assert not bool(gradient.isfinite().any()), name


def test_nan_in_the_input_reaches_the_output() -> None:
    net = fused(made("bireal", "plain"))
    x = torch.randn(2, 8, 4, 4)
    x[0, 0, 0, 0] = float("nan")
    assert bool(net(x)[0, 0, 0, 0].isnan())


def test_accumulated_gradients_add() -> None:
    net = fused(made("cifar", "plain"))
    x, g = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4)
    torch.manual_seed(0)
    single = [gradients(net, x, g)[1]["0.conv1.weight"] for _ in range(2)]
    net.zero_grad()
    torch.manual_seed(0)
    for _ in range(2):
        net(x).backward(g)
    assert torch.equal(net[0].conv1.weight.grad, single[0] + single[1])


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_blocks_give_the_same_bits(reentrant: bool) -> None:
    x, g, found = torch.randn(2, 8, 4, 4, requires_grad=True), torch.randn(2, 8, 4, 4), []
    for run in (lambda net: net(x), lambda net: checkpoint(net, x, use_reentrant=reentrant)):
        net = fused(made("imagenet", "cyclebnn"), storage="bfloat16")
        torch.manual_seed(0)
        x.grad = None
        run(net).backward(g)
        found.append([x.grad, *(p.grad for p in net.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_twice_differentiated_is_refused() -> None:
    net = fused(made("bireal", "plain"))
    x = torch.randn(2, 8, 4, 4, requires_grad=True)
    (dx,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        dx.sum().backward()


def test_input_without_gradient_and_frozen_weights() -> None:
    net = fused(made("react", "plain"))
    net[0].conv.weight.requires_grad_(False)
    net(torch.randn(2, 8, 4, 4)).sum().backward()
    assert net[0].conv.weight.grad is None
    assert net[0].conv.input_quantizer.alpha.grad is not None
    assert net[0].norm.weight.grad is not None


def test_evaluation_is_pytorchs() -> None:
    net = made("cifar", "plain")
    plain = copy.deepcopy(net).eval()
    fused(net)
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(net.eval()(x), plain(x))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_thresholds_of_cyclic_signs_on_ties(data: st.DataObject) -> None:
    torch.manual_seed(data.draw(st.integers(0, 2**31)))
    bits = data.draw(st.integers(1, 8))
    deviation = torch.rand(5) + 0.1
    minimum = -torch.rand(()) * data.draw(st.sampled_from([0.0, 1.0, 4.0]))
    extent = torch.rand(()) * 4
    step = (extent / (2**bits - 1)).clamp_min(1e-8)
    found, wanted = np.empty(5, np.float32), np.empty(5, np.float32)
    _engine.cyclic_thresholds(deviation.numpy(), float(minimum), float(step), bits, found)
    cyclic_thresholds(deviation.numpy(), float(minimum), float(step), bits, wanted)
    np.testing.assert_array_equal(found, wanted)
    # values on, just under and just above each half step
    halves = (minimum + (torch.arange(2**bits + 1) - 0.5) * step)[None] * deviation[:, None]
    for x in (halves, halves.nextafter(torch.tensor(-9.0)), halves.nextafter(torch.tensor(9.0))):
        level = quantize(x / deviation[:, None], bits, minimum, extent)
        assert torch.equal(level >= 0, x >= torch.from_numpy(found)[:, None])


class Straight(Block):
    """Three units, the last of which reads the block's input and the first one's output passes a module."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(BinaryConv2d(8, 8, 3, 1, 1) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(3))
        self.twice = nn.Conv2d(8, 8, 1)
        self.activations = nn.ModuleList([nn.PReLU(8), nn.PReLU(), nn.Hardtanh()])

    def units(self) -> tuple[Unit, ...]:
        first, second, third = zip(self.convs, self.norms, strict=True)
        return (
            Unit(*first, self.activations[0]),
            Unit(*second, self.activations[1], source=1, shortcut=self.twice),
            Unit(*third, self.activations[2], source=0),
        )


class Fan(Block):
    """Two units add the block's input, and one the first unit's output, which has no shortcut itself."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(BinaryConv2d(8, 8, 3, 1, 1) for _ in range(4))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(4))
        self.activations = nn.ModuleList(nn.Hardtanh() for _ in range(4))

    def units(self) -> tuple[Unit, ...]:
        sources = (None, 0, 0, 1)
        return tuple(Unit(*each) for each in zip(self.convs, self.norms, self.activations, sources, strict=True))


@pytest.mark.parametrize("block", [Straight, Fan])
def test_shortcuts_may_cut_a_chain_or_meet(block: type[Block], oracle: Fused) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(block())
    twin = exact_twin(net)
    fused(net)
    x, g = torch.randn(3, 8, 4, 4), torch.randn(3, 8, 4, 4)
    y, found = gradients(net, x, g)
    expected, wanted = gradients(twin, x.double(), g.double())
    assert_near(y, expected, 1e-5)
    for name, gradient in wanted.items():
        assert_near(found[name], gradient, 2e-5, name)


SHORTCUTS: dict[str, Callable[[], nn.Sequential]] = {
    "means": lambda: nn.Sequential(nn.AvgPool2d(2), PadChannels(5, 3)),
    "means_as_tuples": lambda: nn.Sequential(nn.AvgPool2d(2, (2, 2), (0, 0)), PadChannels(5, 3)),
    "overlapping": lambda: nn.Sequential(nn.AvgPool2d(3, 2, 1), PadChannels(5, 3)),
    "divided_otherwise": lambda: nn.Sequential(nn.AvgPool2d(2, divisor_override=3), PadChannels(5, 3)),
    "padded_first": lambda: nn.Sequential(PadChannels(5, 3), nn.AvgPool2d(2)),
    "cropped": lambda: nn.Sequential(nn.AvgPool2d(2), PadChannels(10, -2)),
    "largest": lambda: nn.Sequential(nn.MaxPool2d(2), PadChannels(5, 3)),
}


@pytest.mark.parametrize("name", SHORTCUTS)
def test_shortcuts_to_a_wider_stage(name: str, oracle: Fused, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the engine where it knows them, else by their modules: the same gradients."""
    net = made("cifar_strided", "plain")
    net[0].shortcut = SHORTCUTS[name]()
    twin, calls = exact_twin(net), []
    monkeypatch.setattr(oracle, "shortcut", note(oracle.shortcut, calls))
    fused(net)
    x, g = torch.randn(3, 8, 6, 6), torch.randn(3, 16, 3, 3)
    y, found = gradients(net, x, g)
    expected, wanted = gradients(twin, x.double(), g.double())
    assert len(calls) == name.startswith("means")
    assert_near(y, expected, 1e-5)
    for parameter, gradient in wanted.items():
        assert_near(found[parameter], gradient, 2e-5, parameter)


@pytest.mark.parametrize("place", ["0.shortcut", "0.shortcut.0"])
def test_hooks_of_shortcuts_run(place: str, oracle: Fused, monkeypatch: pytest.MonkeyPatch) -> None:
    net, calls, seen = fused(made("cifar_strided", "plain")), [], []
    monkeypatch.setattr(oracle, "shortcut", note(oracle.shortcut, calls))
    net.get_submodule(place).register_forward_hook(lambda *_: seen.append(place))
    net(torch.randn(3, 8, 6, 6)).sum().backward()
    assert seen == [place]
    assert not calls


def note(function: Callable[..., None], calls: list[Any]) -> Callable[..., None]:
    def noted(*arguments: Any) -> None:
        calls.append(arguments)
        function(*arguments)

    return noted


def test_a_shortcut_of_another_shape_is_refused_as_by_the_modules() -> None:
    net = fused(made("cifar_strided", "plain"))
    reason = "conv2 trains outside the fused block: a shortcut of another shape"
    with pytest.warns(UserWarning, match=reason), pytest.raises(RuntimeError, match="size of tensor"):
        net(torch.randn(2, 8, 7, 7))


def test_hooks_of_weight_quantizers_run() -> None:
    net, seen = fused(made("cifar", "plain")), []
    net(torch.randn(2, 8, 4, 4))
    net[0].conv1.weight_quantizer.register_forward_hook(lambda *_: seen.append(1))
    net(torch.randn(2, 8, 4, 4))
    assert seen == [1]


def inputs(net: nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """The dtypes that its blocks' chains read, block by block."""
    seen: list[torch.dtype] = []
    call = chain.Chain.__call__

    def note(self: chain.Chain, x: Tensor, operands: Any) -> Tensor:
        seen.append(x.dtype)
        return call(self, x, operands)

    monkeypatch.setattr(chain.Chain, "__call__", note)
    net(torch.randn(2, 8, 4, 4)).sum().backward()
    return seen


def row() -> nn.Sequential:
    blocks = [CifarBlock(8, 8, 1, False) for _ in range(3)]
    return fused(nn.Sequential(nn.Sequential(*blocks[:2]), nn.Sequential(blocks[2])), storage="bfloat16")  # type: ignore[return-value]


def test_a_row_of_blocks_hands_on_the_storage_type(monkeypatch: pytest.MonkeyPatch) -> None:
    assert inputs(row(), monkeypatch) == [torch.float32, torch.bfloat16, torch.bfloat16]


@pytest.mark.parametrize("where", ["0", "0.0", "0.1", "1", "1.0"])
def test_hooks_between_blocks_see_float32(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, seen = row(), []
    module = net.get_submodule(where)
    module.register_forward_hook(lambda _, before, after: seen.extend([before[0].dtype, after.dtype]))
    inputs(net, monkeypatch)
    assert seen == [torch.float32, torch.float32]


def hooked(net: nn.Sequential) -> None:
    net[0].norm1.register_forward_hook(lambda *_: None)


def frozen(net: nn.Sequential) -> None:
    net[0].norm2.eval()


def parametrized(net: nn.Sequential) -> None:
    nn.utils.parametrize.register_parametrization(net[0].conv1, "weight", nn.Identity())


def replaced(net: nn.Sequential) -> None:
    net[0].norm1.forward = net[0].norm1.forward


def cumulative(net: nn.Sequential) -> None:
    net[0].norm1.momentum = None


def stateless(net: nn.Sequential) -> None:
    net[0].norm1 = nn.BatchNorm2d(8, track_running_stats=False)


def backward_hooked(net: nn.Sequential) -> None:
    net[0].activation1.register_full_backward_hook(lambda *_: None)


def pre_hooked(net: nn.Sequential) -> None:
    net[0].conv2.register_forward_pre_hook(lambda *_: None)


def unknown_quantizer(net: nn.Sequential) -> None:
    class Steep(methods.irnet.ErrorDecaySign):
        pass

    net[0].conv1.input_quantizer = Steep(2.0)


def wide_activation(net: nn.Sequential) -> None:
    net[0].activation1 = nn.Hardtanh(-2, 2)


def zero_weights(net: nn.Sequential) -> None:
    methods.BiReal().attach(net)
    net[0].conv1.weight.data[3] = 0


REASONS: dict[Callable[[nn.Sequential], None], str] = {
    hooked: "a hook of BatchNorm2d",
    backward_hooked: "a hook of Hardtanh",
    pre_hooked: "a hook of BinaryConv2d",
    frozen: "BatchNorm2d is not in training",
    parametrized: "a parametrization",
    replaced: "a forward of its own of BatchNorm2d",
    cumulative: "a BatchNorm with a cumulative average",
    stateless: "a BatchNorm without running statistics",
    unknown_quantizer: "the input quantizer Steep",
    wide_activation: "the activation Hardtanh",
    zero_weights: "weights other than ±α of an output channel, α > 0",
}


@pytest.mark.parametrize("change", REASONS, ids=lambda change: change.__name__)
@pytest.mark.parametrize("late", [True, False])
def test_units_left_to_their_modules(
    change: Callable[[nn.Sequential], None], late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both units, which leaves PyTorch's own results."""
    net = made("cifar", "plain")
    whole = copy.deepcopy(net)
    if late:
        fused(net)
    change(net)
    change(whole)
    if not late:
        use_native(net, 1, ISA, "float32")
    for conv in (net[0].conv1, net[0].conv2):
        conv.backend = None  # the products' noise is not what this is about
    unit = "conv2" if change in (frozen, pre_hooked) else "conv1"
    other = net[0].conv1 if unit == "conv2" else net[0].conv2
    other.padding_value = 0.0
    x, g = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4)
    if late:
        with pytest.warns(UserWarning, match=f"0: {unit} trains outside the fused block: {REASONS[change]}"):
            y = net(x)
    else:
        y = net(x)
    torch.testing.assert_close(y, whole(x), rtol=1e-5, atol=1e-5)
    y.backward(g)
    for buffer, expected in zip(net.buffers(), whole.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("change", REASONS, ids=lambda change: change.__name__)
def test_changes_between_batches_are_noticed(change: Callable[[nn.Sequential], None]) -> None:
    net, x = fused(made("cifar", "plain")), torch.randn(2, 8, 4, 4)
    net(x)
    change(net)
    for conv in (net[0].conv1, net[0].conv2):
        conv.backend = None  # it has refusals of its own
    with pytest.warns(UserWarning, match=REASONS[change]):
        net(x)


def test_units_come_back_when_what_kept_them_out_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x, seen = fused(made("cifar", "plain")), torch.randn(2, 8, 4, 4), []
    call = chain.Chain.__call__

    def note(self: chain.Chain, x: Tensor, operands: Any) -> Tensor:
        seen.append(len(self.links))
        return call(self, x, operands)

    monkeypatch.setattr(chain.Chain, "__call__", note)
    net(x)
    hook = net[0].norm1.register_forward_hook(lambda *_: None)
    with pytest.warns(UserWarning, match="a hook of BatchNorm2d"):
        net(x)
    hook.remove()
    net(x)
    assert seen == [2, 1, 2]


def test_parameters_that_become_bfloat16_are_noticed() -> None:
    net, x = fused(made("cifar", "plain")), torch.randn(2, 8, 4, 4)
    net(x)
    net.bfloat16()
    with pytest.warns(UserWarning, match=r"parameters of torch\.bfloat16"):
        net(x.bfloat16())


def test_a_reason_is_said_once(recwarn: pytest.WarningsRecorder) -> None:
    net = fused(made("cifar", "plain"))
    hooked(net)
    for _ in range(3):
        net(torch.randn(2, 8, 4, 4))
    assert len([w for w in recwarn if "trains outside" in str(w.message)]) == 1


@pytest.mark.parametrize(
    ("x", "reason", "problem"),
    [
        (torch.ones(2, 8, 4, 4, dtype=torch.float64), "an input of torch.float64", None),
        (torch.ones(1, 8, 1, 1), "one value per channel", "more than 1 value"),
    ],
)
def test_inputs_left_to_the_modules(x: Tensor, reason: str, problem: str | None) -> None:
    """They answer, or refuse, as they do without the engine."""
    net = fused(made("bireal", "plain"))
    net[0].conv.backend = None
    with pytest.warns(UserWarning, match=reason), pytest.raises((RuntimeError, ValueError), match=problem):
        net(x)


def test_gradients_of_more_than_eight_bits() -> None:
    net = nn.Sequential(BLOCKS["cifar"]())
    method = methods.CycleBNN(gradient_bits=(8, 12))
    method.attach(net)
    fused(net)
    method.set_bits(4, 12)
    with pytest.warns(UserWarning, match="a gradient of more than 8 bits"):
        net(torch.randn(2, 8, 4, 4)).sum().backward()


def test_autocast() -> None:
    net = fused(made("cifar", "plain"), storage="bfloat16")
    x = torch.randn(2, 8, 4, 4, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = net(x)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
    assert y.dtype == torch.float32


def test_state_is_unchanged_and_blocks_copy() -> None:
    net = made("imagenet_strided", "cyclebnn")
    before = list(net.state_dict())
    fused(net)
    assert list(net.state_dict()) == before
    copy.deepcopy(net)(torch.randn(2, 8, 4, 4)).sum().backward()


def test_any_layout_and_odd_channels(oracle: Fused) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(CifarBlock(37, 37, 1, False))
    twin = exact_twin(net)
    fused(net)
    x = torch.randn(2, 37, 5, 3)
    g = torch.randn(2, 37, 5, 3)
    results = [gradients(net, x, g)[1][""], gradients(net, x.contiguous(memory_format=torch.channels_last), g)[1][""]]
    wanted = gradients(twin, x.double(), g.double())[1][""]
    for found in results:
        assert_near(found, wanted, 2e-5)
