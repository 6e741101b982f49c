"""A method of one's own: one file outside the package, named by a recipe, trained, measured and exported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.training.recipes import VALUES

pytestmark = pytest.mark.slow

METHOD = '''
"""XNOR-like weights, of which each channel has a learned scale."""

from onebit.cost import CostRule, Widths
from onebit.methods import Method
from onebit.nn import ChannelScale, binary_layers
from onebit.quantize import IdentitySign


class Scaled(Method):
    def __init__(self, penalty: float = 0.0) -> None:
        self.penalty, self.scales = penalty, []

    def attach(self, net):
        for _, layer in binary_layers(net):
            layer.weight_quantizer = IdentitySign()
            layer.output_transform = ChannelScale(len(layer.weight))
            self.scales.append(layer.output_transform.alpha)

    def loss(self, loss):
        return loss + self.penalty * sum(scale.square().sum() for scale in self.scales)

    def cost_rule(self):
        return CostRule((Widths(1.0, activation=1, weight=1),))
'''


def onebit(folder: Path, *words: str, imported: bool = True) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, in whose path the folder lies."""
    code = f"import {'mymethods, ' if imported else ''}sys, onebit.cli; sys.exit(onebit.cli.main())"
    command = [sys.executable, "-c", code, *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the method's file and what a run by its class_path leaves."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mymethods.py").write_text(METHOD)
    method = {"class_path": "mymethods.Scaled", "init_args": {"penalty": 1e-4}}
    (folder / "own.yaml").write_text(yaml.safe_dump({**VALUES, "method": method}))
    trained = onebit(folder, "train", "own.yaml", "--output", "run", imported=False)  # the user's own recipe may import
    assert trained.returncode == 0, trained.stderr
    return folder


def test_it_is_trained_and_counted(folder: Path) -> None:
    record = json.loads((folder / "run" / "record.json").read_text())
    assert record["result"]["last_top1"] > 0.3
    assert record["saved_percent"]["ledger"] > 0


def test_its_checkpoint_is_measured_and_exported(folder: Path) -> None:
    exported = onebit(folder, "export", "run/last.ckpt", "-o", "own.obn")
    assert exported.returncode == 0, exported.stderr
    answers = [onebit(folder, "evaluate", file, "--json") for file in ("run/last.ckpt", "own.obn")]
    figures = [json.loads(answer.stdout) for answer in answers]
    record = json.loads((folder / "run" / "record.json").read_text())
    assert figures[0]["top1"] == figures[1]["top1"] == record["result"]["last_top1"]


def test_a_checkpoint_alone_imports_nothing(folder: Path) -> None:
    refused = onebit(folder, "evaluate", "run/last.ckpt", imported=False)
    assert refused.returncode == 2
    assert "names a method of a foreign package, mymethods.Scaled (import that package first)" in refused.stderr
