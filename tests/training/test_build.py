"""Methods made from the plain values of a recipe or a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch

from onebit.errors import OnebitError
from onebit.methods import PFQ, RBONN, Bop, Compose, CycleBNN, Method
from onebit.nn import binary_layers
from onebit.training import fit, load_checkpoint
from onebit.training.build import make_method
from onebit.training.interruption import Stopped
from tests.training.recipes import tiny
from tests.training.test_resume import assert_same, stop_at, trained

BOTH = [
    {"class_path": "onebit.methods.CycleBNN", "init_args": {"bits": [3, 5], "cycles": 2}},
    {"class_path": "onebit.methods.RBONN", "init_args": {"variant": "paper"}},
]


def test_methods_within_a_method() -> None:
    method = make_method("onebit.methods.Compose", {"methods": BOTH}, trusted=False)
    assert isinstance(method, Compose)
    one, other = method.methods
    assert isinstance(one, CycleBNN)
    assert isinstance(other, RBONN)
    assert (one.bits, other.variant) == ((3, 5), "paper")


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("onebit.methods.RBONN", "methods must be a list of methods"),
        (["os.path.join"], "methods must be a list of methods"),
        ([{"init_args": {}}], "methods must be a list of methods"),
        ([{**BOTH[0], "extra": 1}], "methods must be a list of methods"),
        ([{"class_path": "onebit.methods.RBON"}], r"did you mean RBONN\?"),
        ([{"class_path": "onebit.methods.RBONN", "init_args": {"taw": 1}}], r"no argument taw \(did you mean tau\?\)"),
        ([{"class_path": "antigravity.Thing"}], "a method of a foreign package"),
        ([], "no methods given"),
    ],
)
def test_one_line_says_what_is_wrong_with_the_parts(methods: Any, message: str) -> None:
    with pytest.raises(OnebitError, match=message) as caught:
        make_method("onebit.methods.Compose", {"methods": methods}, trusted=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("class_path", "kind"),
    [
        ("onebit.methods.FracTrain", PFQ),
        ("onebit.methods.fractrain.FracTrain", PFQ),
        ("onebit.methods.LatentFree", Bop),
        ("onebit.methods.latent_free.LatentFree", Bop),
    ],
)
def test_a_former_name_is_understood(class_path: str, kind: type[Method]) -> None:
    assert type(make_method(class_path, {}, trusted=False)) is kind


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize(
    ("former", "name", "options"),
    [
        ("LatentFree", "Bop", {"gamma": [0.1, 0.001], "threshold": 1e-5}),
        ("FracTrain", "PFQ", {"bits": [3, 4, 8], "gradient_bits": [6, 6, 8], "interval": 2, "threshold": 0.5}),
    ],
)
def test_a_run_of_a_former_name_goes_on(
    former: str, name: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the method's state, which the checkpoint holds under the former name."""
    model = {"options": {"width": 8, "full_precision": name == "PFQ"}}
    whole = trained(tiny(model=model, method=method_of(name, options)), tmp_path / "whole")
    recipe = tiny(model=model, method=method_of(former, options))
    with monkeypatch.context() as patch:
        stop_at(patch, 13)
        with pytest.raises(Stopped):
            fit(recipe, tmp_path / "broken", progress=False)
    last = tmp_path / "broken" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content["callbacks"][f"onebit.methods.{former}"] = content["callbacks"].pop(f"onebit.methods.{name}")
    torch.save(content, last)
    resumed = trained(recipe, tmp_path / "broken", resume=last)
    for part in ("state_dict", "callbacks"):
        assert_same(whole[part], resumed[part], part)


def method_of(name: str, options: dict[str, Any]) -> dict[str, Any]:
    return {"class_path": f"onebit.methods.{name}", "init_args": options}


def test_a_composed_run_is_rebuilt_from_its_checkpoint(tmp_path: Path) -> None:
    recipe = tiny(method={"class_path": "onebit.methods.Compose", "init_args": {"methods": BOTH}})
    content = trained(recipe, tmp_path / "run")
    net, info = load_checkpoint(tmp_path / "run" / "last.ckpt")
    assert info["method"]["init_args"] == {"methods": BOTH}
    assert content["callbacks"]["onebit.methods.Compose"] == {"methods": [{}, {}]}
    assert all(layer.weight_quantizer.sign.bits == 5 for _, layer in binary_layers(net))
