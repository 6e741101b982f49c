"""Methods made from the plain values of a recipe or a checkpoint."""

from pathlib import Path
from typing import Any

import pytest

from onebit.errors import OnebitError
from onebit.methods import RBONN, Compose, CycleBNN
from onebit.nn import binary_layers
from onebit.training import load_checkpoint
from onebit.training.build import make_method
from tests.training.recipes import tiny
from tests.training.test_resume import trained

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


def test_a_composed_run_is_rebuilt_from_its_checkpoint(tmp_path: Path) -> None:
    recipe = tiny(method={"class_path": "onebit.methods.Compose", "init_args": {"methods": BOTH}})
    content = trained(recipe, tmp_path / "run")
    net, info = load_checkpoint(tmp_path / "run" / "last.ckpt")
    assert info["method"]["init_args"] == {"methods": BOTH}
    assert content["callbacks"]["onebit.methods.Compose"] == {"methods": [{}, {}]}
    assert all(layer.weight_quantizer.sign.bits == 5 for _, layer in binary_layers(net))
