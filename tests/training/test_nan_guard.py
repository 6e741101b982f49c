"""A training whose numbers end stops before its weights do, and says where."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from onebit.training import Classifier, fit
from onebit.training.interruption import Stopped
from onebit.training.loop import Loop
from onebit.training.nan_guard import first_not_finite
from tests.training.recipes import tiny


class Poison(torch.autograd.Function):
    """The identity, whose gradient is NaN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient * torch.nan


class Poisoned(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Poison.apply(x)


class Logarithm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.log()


def classifier(*layers: nn.Module) -> Classifier:
    return Classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 8), *layers, nn.Linear(8, 3)), 3)


BATCH = torch.linspace(-1, 1, 128).reshape(2, 1, 8, 8), torch.tensor([0, 2])


@pytest.mark.parametrize(
    ("module", "place"),
    [
        (classifier(nn.ReLU()), None),
        (classifier(nn.Tanh(), Logarithm(), nn.ReLU()), "the output of net.3"),
        (classifier(nn.Tanh(), Poisoned()), "the gradient at the output of net.2"),
    ],
)
def test_the_first_place_is_named(module: Classifier, place: str | None) -> None:
    torch.manual_seed(0)
    assert first_not_finite(module, BATCH) == place
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not any(layer._forward_hooks for layer in module.modules())


def test_images_that_are_not_finite_are_named() -> None:
    assert first_not_finite(classifier(), (BATCH[0] / 0, BATCH[1])) == "the images of the batch"


def test_a_run_names_step_layer_and_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Classifier.training_step

    def poisoned(self: Classifier, batch: Any, batch_idx: int) -> Tensor:
        if batch_idx == 5:
            self.net.get_submodule("head").register_forward_hook(lambda layer, inputs, output: Poison.apply(output))
        return make(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", poisoned)
    monkeypatch.setattr(Loop, "_agree", lambda self, interruption: (False, True, False))
    with pytest.raises(Stopped) as caught:
        fit(tiny(), tmp_path, progress=False)
    assert caught.value.message.startswith(
        "the gradient of step 5 is not a finite number; first seen in the gradient at"
    )
    assert caught.value.hint.endswith(f"the last good checkpoint is {tmp_path / 'last.ckpt'}, of step 5")
    weights = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in weights.values())


def test_a_loss_names_the_layer(tmp_path: Path) -> None:
    recipe = tiny(optimizer={"name": "sgd", "lr": 1e30}, trainer={"max_steps": 40, "validate_every": 20})
    with pytest.raises(
        Stopped, match=r"the loss of step [1-9] is .*first seen in the output of net\.\w+.*no checkpoint"
    ):
        fit(recipe, tmp_path, progress=False)


def test_a_gradient_that_is_lost_in_a_parameter_alone_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Loop.run

    def poisoned(self: Loop, *rest: Any) -> None:
        self.classifier.net.get_submodule("head").weight.register_hook(lambda gradient: gradient / 0)
        run(self, *rest)

    monkeypatch.setattr(Loop, "run", poisoned)
    with pytest.raises(Stopped, match=r"the gradient of step 0 .*first seen in the gradient of net\.head\.weight"):
        fit(tiny(), tmp_path, progress=False)
