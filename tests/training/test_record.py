"""Records, and the ones that are kept in the repository."""

import json
from pathlib import Path

import pytest
import torch

from onebit.training.record import write_record

RESULTS = Path(__file__).parents[2] / "results"


def test_says_where_it_comes_from(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", {"result": {"best_top1": 0.5}})
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["result"] == {"best_top1": 0.5}
    assert record["provenance"]["machine"]["torch"] == torch.__version__
    assert record["provenance"]["machine"]["cores"] >= 1
    assert record["provenance"]["date"].endswith("+00:00")


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*_cifar10_*.json")), ids=lambda path: path.stem)
def test_kept_records_can_be_repeated(path: Path) -> None:
    from onebit.training.recipe import parse_recipe

    record = json.loads(path.read_text())
    recipe = parse_recipe(record["recipe"], path.name)
    assert record["provenance"]["commit"]
    assert record["result"]["best_top1"] == max(v["top1"] for v in record["validations"])
    assert record["result"]["steps"] == (recipe.trainer.max_steps or record["result"]["steps"])
