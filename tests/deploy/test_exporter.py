from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onebit
from onebit import deploy, models
from onebit.deploy import exporter
from onebit.errors import OnebitError
from onebit.nn import BinaryConv2d
from tests.deploy.nets import randomize


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return randomize(models.create("small", num_classes=3), 0)


X = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def head_input(net: nn.Module, x: Tensor) -> np.ndarray:
    seen: list[Tensor] = []
    with net.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])), torch.no_grad():
        net(x)
    return seen[0].numpy()


def test_what_the_file_says(net: nn.Module, tmp_path: Path) -> None:
    calibration = X * 2
    deploy.export(
        net,
        tmp_path / "m.obn",
        X,
        classes=["a", "b", "größer"],
        samples=[5, 6, 7],
        mean=[0.5],
        std=[0.25],
        provenance={"recipe": "digits"},
        calibration=calibration,
    )
    model = onebit.load(tmp_path / "m.obn")
    assert model.input_shape == (1, 8, 8)
    assert model.classes == ("a", "b", "größer")
    assert list(model.class_samples) == [5, 6, 7]
    assert (model.mean, model.std) == ((0.5,), (0.25,))
    assert model.provenance["recipe"] == "digits"
    assert set(model.provenance["exported"]) == {"at", "by", "onebit", "torch"}
    features = head_input(net, calibration)
    assert np.allclose(model.features_range, [features.min(), features.max()])
    assert np.allclose(model(calibration.numpy(), "features"), features, rtol=1e-4, atol=1e-4)


def test_the_example_measures_the_range_if_there_is_no_calibration(net: nn.Module, tmp_path: Path) -> None:
    deploy.export(net, tmp_path / "m.obn", X)
    features = head_input(net, X)
    assert np.allclose(onebit.load(tmp_path / "m.obn").features_range, [features.min(), features.max()])


def test_the_report_matches_the_file(net: nn.Module, tmp_path: Path) -> None:
    report = deploy.export(net, tmp_path / "m.obn", X)
    model = onebit.load(tmp_path / "m.obn")
    assert report.bytes == (tmp_path / "m.obn").stat().st_size
    told = [(row.name, row.kind, row.weight_bits, row.bytes) for row in report.layers]
    assert told == [(layer.name, layer.kind, layer.weight_bits, layer.bytes) for layer in model.layers]
    assert model.report == {"layers": [vars(row) for row in report.layers], "notes": report.notes}
    whys = {row.name: (row.packed, row.why) for row in report.layers if row.weight_bits}
    assert whys["stem.0"] == (False, "first layer: real-valued input")
    assert whys["head"] == (False, "last layer: real-valued weights")
    assert whys["blocks.0.conv"] == (True, "writes floats")
    assert set(report.as_dict()) == {"path", "bytes", "layers", "notes", "verified", "int8"}
    assert report.int8 is None


def test_the_same_network_gives_the_same_bytes(net: nn.Module, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(exporter, "_exported", dict)
    for name in ("a.obn", "b.obn"):
        deploy.export(net, tmp_path / name, X)
    assert (tmp_path / "a.obn").read_bytes() == (tmp_path / "b.obn").read_bytes()


def test_the_mode_and_the_weights_are_left_as_they_are(net: nn.Module, tmp_path: Path) -> None:
    net.train()
    net.stem.eval()
    modes = [module.training for module in net.modules()]
    state = {key: value.clone() for key, value in net.state_dict().items() if isinstance(value, Tensor)}
    deploy.export(net, tmp_path / "m.obn", X)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(net.state_dict()[key], value) for key, value in state.items())


class Wide(nn.Module):
    """A head over a flattened image, behind a norm of each element."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.conv = BinaryConv2d(1, 8, 3)
        self.flat = nn.Flatten()
        self.norm = nn.BatchNorm1d(288) if norm else nn.Identity()
        self.head = nn.Linear(288, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.flat(self.conv(x))))


@pytest.mark.parametrize("norm", [False, True])
def test_features_of_more_than_one_pixel(norm: bool, tmp_path: Path) -> None:
    net = randomize(Wide(norm), 0)
    report = deploy.export(net, tmp_path / "m.obn", X)
    model = onebit.load(tmp_path / "m.obn")
    features = model(X.numpy(), "features")
    with torch.no_grad():
        expected = net.conv(X).numpy()
    assert np.array_equal(features, expected)
    assert np.allclose(model.features_range, [expected.min(), expected.max()])
    assert ["part of the head's weights" in note for note in report.notes].count(True) == norm
    assert any("6 x 6 pixels" in note for note in report.notes)
    with torch.no_grad():
        assert np.allclose(model(X.numpy()), net(X).numpy(), rtol=1e-4, atol=1e-4)


def test_without_a_head_there_are_no_features_and_the_report_says_so(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    report = deploy.export(net, tmp_path / "m.obn", X)
    model = onebit.load(tmp_path / "m.obn")
    assert list(model.outputs) == ["logits"]
    assert model.features_range is None
    assert "head" in report.notes[0]
    assert "no mean and std" in report.notes[1]
    assert "no class names" in report.notes[2]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"example": X[0]}, "example is"),
        ({"example": X.double()}, "example is"),
        ({"example": X[:0]}, "example is"),
        ({"example": X * np.nan}, "not finite"),
        ({"calibration": X.half()}, "calibration is"),
        ({"classes": ["a"]}, "1 class names for 3 logits"),
        ({"classes": ["a", "b", "c\0"]}, "NUL"),
        ({"classes": ["a", "b", "c"], "samples": [1]}, "1 sample counts"),
        ({"mean": [0.5]}, "belong together"),
        ({"mean": [0.5, 0.5], "std": [1, 1]}, "2 numbers in mean for 1 channels"),
        ({"mean": [0.5], "std": [0.0]}, "do not normalise"),
        ({"mean": 0.5, "std": 0.5}, "mean is 0.5"),
        ({"mean": ["a"], "std": [0.5]}, "mean is"),
        ({"mean": [33.3], "std": [78.6]}, "pixels from 0 to 255"),
        ({"classes": range(10)}, "class name 0 is no text"),
        ({"classes": list("0123456789"), "samples": [-1] * 10}, "samples is"),
        ({"classes": list("0123456789"), "samples": [0.5] * 10}, "samples is"),
        ({"provenance": {"dtype": torch.float32}}, "provenance is no JSON"),
    ],
)
def test_arguments_that_do_not_fit(options: dict, reason: str, net: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(OnebitError, match=reason):
        deploy.export(net, tmp_path / "m.obn", **{"example": X, **options})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple])
def test_numbers_and_names_as_pipelines_have_them(kind, net: nn.Module, tmp_path: Path) -> None:
    names = np.array(["a", "b", "c"])
    deploy.export(
        net, tmp_path / "m.obn", X, mean=kind([0.5]), std=kind([0.25]), classes=names, samples=kind([1, 2, 3])
    )
    model = onebit.load(tmp_path / "m.obn")
    assert (model.mean, model.std) == ((0.5,), (0.25,))
    assert model.classes == ("a", "b", "c")


def test_a_network_with_nan_is_refused(net: nn.Module, tmp_path: Path) -> None:
    with torch.no_grad():
        net.head.bias[0] = torch.nan
    with pytest.raises(OnebitError, match=r"'head\.bias' has values that are not finite"):
        deploy.export(net, tmp_path / "m.obn", X)


def test_an_existing_file_is_refused_before_the_work(net: nn.Module, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "m.obn"
    path.write_text("mine")
    monkeypatch.setattr(exporter, "trace", None)
    with pytest.raises(OnebitError, match="exists already"):
        deploy.export(net, path, X)
    assert path.read_text() == "mine"
