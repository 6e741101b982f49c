"""Networks with int8 layers: no calibration image gets another top-1, and the report is true."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import onebit
from onebit import data, deploy, models
from onebit.errors import OnebitError
from onebit.runtime.model import softmax
from tests.deploy.nets import ISAS, randomize

DIGITS = data.create("digits")
MEAN, STD = list(DIGITS.mean), list(DIGITS.std)


def digits(images: Tensor) -> Tensor:
    return (images / 255 - MEAN[0]) / STD[0]


@pytest.fixture(scope="module", params=[False, True], ids=["binary", "full_precision"])
def trained(request: pytest.FixtureRequest, seed: int) -> nn.Module:
    """Four passes over the digits."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    net = models.create("small", num_classes=10, width=32, full_precision=request.param)
    images, labels = DIGITS.train()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    for _ in range(4):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(digits(images[batch])), labels[batch]).backward()
            optimizer.step()
    return net.eval()


@dataclass
class Pair:
    """A network in float32 and in int8, and the calibration images."""

    report: deploy.Report
    float32: Path
    int8: Path
    images: Tensor

    def logits(self, path: Path, isa: str = "", output: str = "logits") -> NDArray[np.float32]:
        return onebit.load(path, isa=isa)(self.images.numpy(), output)


def both(net: nn.Module, folder: Path, images: Tensor, **options: list[float]) -> Pair:
    paths = folder / "float32.obn", folder / "int8.obn"
    deploy.export(net, paths[0], images, **options)
    return Pair(deploy.export(net, paths[1], images, real_valued="int8", **options), *paths, images)


def assert_true(pair: Pair) -> None:
    """What the report says holds for the file, on every instruction set."""
    expected, logits = pair.logits(pair.float32), pair.logits(pair.int8)
    told = pair.report.int8
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert told.images == told.agreeing == len(pair.images)
    assert told.largest_logit_difference == np.abs(expected - logits).max()
    assert told.largest_logit == np.abs(expected).max()
    assert str(told) in pair.report.notes
    for isa in ISAS:
        assert np.array_equal(pair.logits(pair.int8, isa), logits), isa
    model = onebit.load(pair.int8)
    assert model.report["int8"] == vars(told)
    rows = [(row.name, row.kind, row.weight_bits, row.bytes) for row in pair.report.layers]
    assert rows == [(layer.name, layer.kind, layer.weight_bits, layer.bytes) for layer in model.layers]
    for row in pair.report.layers:
        if row.kind == "conv_int8":
            assert (row.weight_bits, row.activation_bits, row.packed) == (8, 8, False)
            assert row.why.endswith("; in int8")
        elif row.kind == "conv_float":
            assert "; stays float32: " in row.why


@pytest.mark.slow
@pytest.mark.learning
def test_trained_networks_keep_their_answers(
    trained: nn.Module, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    images = digits(DIGITS.train()[0][:300])
    pair = both(trained, tmp_path, images, mean=MEAN, std=STD)
    assert_true(pair)
    if not any(row.kind == "conv_binary" for row in pair.report.layers):  # signs are touchier than reals
        assert {row.kind for row in pair.report.layers if row.weight_bits} == {"conv_int8"}
    difference = pair.report.int8.largest_logit_difference / pair.report.int8.largest_logit
    record_property("logits, difference", difference)
    assert difference < 0.3
    features = pair.logits(pair.int8, output="features")
    assert onebit.load(pair.int8).features_range == [features.min(), features.max()]
    assert pair.int8.stat().st_size < pair.float32.stat().st_size


@pytest.mark.learning
def test_a_learner_stands_on_an_int8_head(
    trained: nn.Module, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    images = digits(DIGITS.train()[0][:100])
    pair = both(trained, tmp_path, images, mean=MEAN, std=STD)
    assert pair.report.layers[-1].kind == "conv_int8"
    with onebit.Learner.create(tmp_path / "store", onebit.load(pair.int8)) as learner:
        scores = learner.scores(images.numpy())
    difference = float(np.abs(scores - softmax(pair.logits(pair.int8))).mean())
    record_property("scores, difference", difference)
    assert difference < 0.01


@pytest.mark.parametrize("classes", [2, 40])
@pytest.mark.parametrize("seed", range(4))
def test_random_networks_keep_their_top1_on_the_calibration_images(seed: int, classes: int, tmp_path: Path) -> None:
    torch.manual_seed(seed)
    net = randomize(models.create("small", num_classes=classes, width=8), seed)
    assert_true(both(net, tmp_path, digits(DIGITS.test()[0][:60])))


class TwoLayers(nn.Module):
    """A first layer that bytes hold exactly (pixels from 0 to 255, whole weights), and a head that they do not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, bias=False)
        self.flat = nn.Flatten()
        self.head = nn.Linear(4 * 36, 30)
        with torch.no_grad():
            whole = torch.randint(-127, 128, (4, 1, 3, 3)).float()
            whole[:, 0, 0, 0] = 127
            self.stem.weight.copy_(whole)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.flat(self.stem(x)))


def test_a_layer_that_changes_a_top1_stays_float_and_says_so(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pair = both(TwoLayers(), tmp_path, DIGITS.train()[0].float(), mean=[0.0], std=[1 / 255])
    stem, head = pair.report.layers
    assert (stem.kind, head.kind) == ("conv_int8", "conv_float")
    assert stem.why == "first layer: real-valued input; in int8"
    assert head.why.startswith("last layer: real-valued weights; stays float32: in int8, alone it moves a logit by ")
    assert_true(pair)
    assert pair.report.int8.agreeing_with_all < len(pair.images)
    assert pair.report.int8.largest_logit_difference <= 1e-5 * pair.report.int8.largest_logit


def test_a_tolerated_share_of_images_may_change(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, images = TwoLayers(), DIGITS.train()[0].float()
    strict = deploy.export(net, tmp_path / "a.obn", images, real_valued="int8").int8
    assert strict is not None
    changed = strict.images - strict.agreeing_with_all
    assert changed > 0
    for share, kept in ((changed / strict.images, "conv_int8"), ((changed - 0.5) / strict.images, "conv_float")):
        path = tmp_path / f"{kept}.obn"
        report = deploy.export(net, path, images, real_valued="int8", int8_tolerance=share)
        assert report.layers[-1].kind == kept
        assert report.int8 is not None
        assert report.int8.images - report.int8.agreeing <= round(share * strict.images, 6)
    with pytest.raises(OnebitError, match=r"int8_tolerance is 1\.5"):
        deploy.export(net, tmp_path / "b.obn", images, real_valued="int8", int8_tolerance=1.5)


def test_the_range_of_the_pixels_is_that_of_all_images(tmp_path: Path) -> None:
    """Dark calibration images do not clip bright ones."""
    torch.manual_seed(0)
    net = nn.Sequential(TwoLayers().stem, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    bright = DIGITS.test()[0].float()
    pair = both(net, tmp_path, bright[:4] // 8, mean=[0.0], std=[1 / 255])
    guess = tmp_path / "guess.obn"
    report = deploy.export(net, guess, bright[:4] // 8, real_valued="int8")
    assert pair.report.layers[0].kind == report.layers[0].kind == "conv_int8"
    expected, known, guessed = (onebit.load(path)(bright.numpy()) for path in (pair.float32, pair.int8, guess))
    assert np.abs(known - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(guessed - expected).max() > 0.5 * np.abs(expected).max()


def test_another_name_for_the_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OnebitError, match="real_valued is 'int4'"):
        deploy.export(TwoLayers(), tmp_path / "m.obn", torch.zeros(1, 1, 8, 8), real_valued="int4")
    assert not list(tmp_path.iterdir())


def test_birealnet18_takes_at_most_2_2_megabytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = models.create("birealnet18", num_classes=1000)
    names = [f"class number {number}" for number in range(1000)]
    images = torch.randn(2, 3, 224, 224)
    report = deploy.export(net, tmp_path / "m.obn", images, classes=names, real_valued="int8")
    assert [row.kind for row in report.layers].count("conv_int8") == 5
    assert report.bytes <= 2_200_000
