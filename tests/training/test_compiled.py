"""Networks and runs that torch.compile compiles."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from onebit import methods, models
from onebit.methods import Method
from onebit.training import fit, load_checkpoint
from tests.training.recipes import tiny

METHODS: list[Callable[[], Method]] = [
    methods.BiReal,
    methods.IRNet,
    methods.ReCU,
    methods.CycleBNN,
    methods.RBONN,
    lambda: methods.Compose([methods.CycleBNN(), methods.RBONN()]),
]


@pytest.mark.parametrize("make", METHODS)
def test_a_network_is_one_graph_with_the_same_gradients(make: Callable[[], Method]) -> None:
    images, labels = torch.randn(8, 1, 8, 8), torch.arange(8)
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        net = models.create("small", width=8)
        method = make()
        method.attach(net)
        if compiled:
            torch._dynamo.reset()
            net.compile(fullgraph=True, backend="aot_eager")  # traced as for any compiler, computed as ever
        method.step(0, 10)
        loss = method.loss(functional.cross_entropy(net(images), labels))
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in net.parameters() if p.grad is not None)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
def test_learns_the_digits(tmp_path: Path) -> None:
    recipe = tiny(model={"options": {"width": 16}}, method=None, trainer={"backend": "compiled", "max_steps": 240})
    result = fit(recipe, tmp_path / "run", progress=False)
    assert result["last_top1"] >= 0.93
    net, _ = load_checkpoint(result["checkpoint"])
    assert not any(name.startswith("_orig_mod") for name in net.state_dict())
