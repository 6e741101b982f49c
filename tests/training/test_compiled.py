"""Networks and runs that torch.compile compiles."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch._dynamo
from torch import nn
from torch.nn import functional

from onebit import methods, models
from onebit.methods import Method
from onebit.training import fit, load_checkpoint
from onebit.training.nan_guard import first_not_finite
from tests.training.recipes import tiny
from tests.training.test_nan_guard import BATCH, Logarithm, classifier

METHODS: list[Callable[[], Method]] = [
    methods.BiReal,
    methods.IRNet,
    methods.ReCU,
    methods.CycleBNN,
    methods.RBONN,
    lambda: methods.Compose([methods.CycleBNN(), methods.RBONN()]),
]


@pytest.mark.slow
@pytest.mark.parametrize("make", METHODS)
def test_a_network_is_one_graph_with_the_same_gradients(make: Callable[[], Method]) -> None:
    images, labels = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8)
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


def test_the_layer_of_a_compiled_network_is_named() -> None:
    module = classifier(nn.Tanh(), Logarithm(), nn.ReLU())
    torch._dynamo.reset()
    module.net.compile(backend="eager")
    module.training_step(BATCH, 0)
    assert first_not_finite(module, BATCH) == "the output of net.3"


@pytest.mark.slow
@pytest.mark.learning
def test_learns_the_digits(tmp_path: Path, seed: int, record_property: Callable[[str, object], None]) -> None:
    trainer = {"backend": "compiled", "max_steps": 240}
    recipe = tiny(model={"options": {"width": 16}}, method=None, trainer=trainer, seed=seed)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    result = fit(recipe, tmp_path / "run", progress=False)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    record_property("top1", result["last_top1"])
    assert result["last_top1"] >= 0.88
    net, _ = load_checkpoint(result["checkpoint"])
    assert not any(name.startswith("_orig_mod") for name in net.state_dict())
