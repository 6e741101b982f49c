import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from onebit.deploy.elementwise import NotPerChannel, PerChannel, Step
from onebit.deploy.threshold import float_intervals, integer_intervals
from onebit.nn import RPReLU, RSign
from onebit.quantize import Sign, UniformQuantizer
from tests.deploy.nets import randomize

CHANNELS = 7


def chain(*modules: nn.Module, rank: int = 4) -> PerChannel:
    return PerChannel(tuple(Step(module, rank) for module in modules))


def neighbours(x: Tensor, count: int = 60) -> Tensor:
    """The floats beside those of ``x``, (values, channels), and many others."""
    steps = [x]
    for direction in (torch.inf, -torch.inf):
        y = x
        for _ in range(count):
            y = torch.nextafter(y, torch.full_like(y, direction))
            steps.append(y)
    return torch.cat([torch.stack(steps), torch.randn(1000, x.shape[-1]) * 3])


def assert_exact(function: PerChannel, interval: np.ndarray) -> None:
    bounds = torch.from_numpy(interval)
    finite = torch.where(bounds.isfinite(), bounds, 0)
    x = torch.cat([neighbours(finite[:, 0]), neighbours(finite[:, 1])])
    inside = (x >= bounds[:, 0]) & (x <= bounds[:, 1])
    assert torch.equal(function(x) > 0, inside)


def quantizer(bits: int, minimum: float, extent: float) -> UniformQuantizer:
    module = UniformQuantizer(bits)
    module.running_minimum.fill_(minimum)
    module.running_range.fill_(extent)
    return module


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    bits=st.integers(1, 8),
    minimum=st.floats(-4, 1, width=32),
    extent=st.floats(0, 6, width=32),
    rank=st.sampled_from([2, 4]),
)
def test_a_float_interval_gives_the_bits_of_the_modules(
    seed: int, bits: int, minimum: float, extent: float, rank: int
) -> None:
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(CHANNELS) if rank == 4 else nn.BatchNorm1d(CHANNELS)
    modules = nn.Sequential(norm, RPReLU(CHANNELS), quantizer(bits, minimum, extent), RSign(CHANNELS))
    function = chain(*randomize(modules, seed), rank=rank)
    assert_exact(function, float_intervals(function, CHANNELS))


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (Sign(), [0, np.inf]),
        (nn.Sequential(nn.ReLU(), Sign()), [-np.inf, np.inf]),
        (nn.Sequential(nn.Hardtanh(), nn.Threshold(2, -1), Sign()), [np.inf, -np.inf]),
    ],
)
def test_constant_and_plain_signs(module: nn.Module, expected: list[float]) -> None:
    assert np.array_equal(float_intervals(chain(module), 2), np.tile(np.float32(expected), (2, 1)))


def test_a_falling_function_is_an_upper_bound() -> None:
    norm = nn.BatchNorm2d(1)
    with torch.no_grad():
        norm.weight.fill_(-2)
        norm.bias.fill_(1)
    function = chain(norm.eval(), Sign())
    lower, upper = float_intervals(function, 1)[0]
    assert lower == -np.inf
    assert upper == pytest.approx(0.5, rel=1e-4)
    assert_exact(function, np.array([[lower, upper]]))


class Band(nn.Module):
    """+1 between two bounds: not monotone, yet one interval."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where((x > -0.25) & (x < 3), 1.0, -1.0)


def test_a_band_is_one_interval() -> None:
    interval = float_intervals(chain(Band()), 3)
    assert_exact(chain(Band()), interval)
    assert interval[0, 0] == np.nextafter(np.float32(-0.25), np.float32(0))


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.Identity(), "not only"),
        (quantizer(3, -1, 2).eval(), "not only"),
        (nn.Sequential(nn.Hardshrink(1.0), Band()), None),
        (lambda x: torch.where(x.abs() > 1, 1.0, -1.0), "several separate ranges"),
        (lambda x: torch.sign(torch.sin(x * 50) + 0.5), "several separate ranges"),
        (lambda x: x[:, :1], "it turns"),
    ],
)
def test_what_is_no_interval_is_refused(module: nn.Module, reason: str | None) -> None:
    if reason is None:
        assert_exact(chain(module), float_intervals(chain(module), 2))
        return
    with pytest.raises(NotPerChannel, match=reason):
        float_intervals(chain(module), 2)


def test_a_ripple_beside_the_threshold_is_seen() -> None:
    ripple = np.float32(1.0)
    for _ in range(20):
        ripple = np.nextafter(ripple, np.float32(2))

    def function(x: Tensor) -> Tensor:
        return torch.where((x >= 1) & (x != float(ripple)), 1.0, -1.0)

    with pytest.raises(NotPerChannel, match="monotone"):
        float_intervals(chain(function), 1)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), reach=st.integers(1, 400), step=st.sampled_from([1, 2]))
def test_integer_intervals_are_exhaustive(seed: int, reach: int, step: int) -> None:
    torch.manual_seed(seed)
    modules = randomize(nn.Sequential(nn.BatchNorm2d(CHANNELS), nn.Hardtanh(), RSign(CHANNELS)), seed)
    with torch.no_grad():
        modules[0].running_mean.mul_(reach)
        modules[0].running_var.mul_(reach**2 / 4)
    function = chain(*modules)
    values = np.arange(-reach, reach + 1, step)
    lower, upper = integer_intervals(function, values, CHANNELS).T
    inside = (values[:, None] >= lower) & (values[:, None] <= upper)
    # as the network sees it: (N, C, H, W)
    image = torch.from_numpy(values).float()[None, None, :, None].expand(2, CHANNELS, -1, 3)
    with torch.no_grad():
        expected = modules(image.contiguous())
    assert np.array_equal(expected[1, :, :, 2].numpy().T > 0, inside)
