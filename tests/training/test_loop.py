"""The loop beside the same training written down without it, and the files that Lightning's trainer left."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from onebit.data import DataModule
from onebit.training import fit
from onebit.training.build import make_method, make_net
from onebit.training.history import History
from onebit.training.optimizer import make_optimizer, make_schedule
from onebit.training.recipe import Recipe
from tests.training.recipes import tiny

STEPS, HALF = 20, 7


class Plain:
    """What a recipe without averages computes on one process in 32 bits, and nothing more."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.data = recipe, DataModule(**vars(recipe.data), seed=recipe.seed)
        self.net = make_net(recipe.model.name, recipe.model.options, 10, self.data.shape)
        assert recipe.method is not None
        self.method = make_method(recipe.method.class_path, recipe.method.init_args, trusted=True)
        self.method.attach(self.net)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(recipe.optimizer, self.net.parameters(), self.method.parameter_groups())
        self.schedule = make_schedule(recipe.schedule, self.optimizer, STEPS)
        self.loader = self.data.train_dataloader()
        self.batches = (batch for _ in range(100) for batch in self.loader)
        seed = int(np.random.SeedSequence((recipe.seed, 0)).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)

    def take(self, start: int, end: int) -> None:
        """The steps from one to before another."""
        accumulate = self.recipe.optimizer.accumulate
        for t in range(start, end):
            self.method.step(t, STEPS)
            self.optimizer.zero_grad()
            for _ in range(accumulate):
                images, labels = next(self.batches)
                loss = F.cross_entropy(self.net(images.contiguous(memory_format=torch.channels_last)), labels)
                (self.method.loss(loss) / accumulate).backward()
            self.method.before_update()
            self.optimizer.step()
            self.schedule.step()

    def weights(self) -> dict[str, Any]:
        return {f"net.{name}": value for name, value in self.net.state_dict().items()}

    def lightning_checkpoint(self, step: int) -> dict[str, Any]:
        """The file as Lightning's trainer, and the callbacks of before, wrote it."""
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002
        numpy = (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest)
        callbacks = {"History": History(STEPS, 12.0, None).state_dict(), "Keeper": {"best_top1": 2.0}}
        if state := self.method.state_dict():
            callbacks[f"onebit.methods.{type(self.method).__name__}"] = state
        recipe = self.recipe.to_dict()
        info = {"model": recipe["model"], "method": recipe["method"], "data": {"name": "digits", "options": {}}}
        info |= {key: list(getattr(self.data, key)) for key in ("classes", "samples", "shape", "mean", "std")}
        return {
            "epoch": 0,
            "global_step": step,
            "pytorch-lightning_version": "2.6.6",
            "state_dict": self.weights(),
            "loops": {"fit_loop": {"state_dict": {}}},
            "callbacks": callbacks,
            "optimizer_states": [self.optimizer.state_dict()],
            "lr_schedulers": [self.schedule.state_dict()],
            "Stream": {"position": step * self.recipe.optimizer.accumulate, "epoch": len(self.loader)},
            "random_streams": [{"python": random.getstate(), "numpy": numpy, "torch": torch.get_rng_state()}],
            "skipped": {"a.jpg": "damaged"},
            "onebit": {**info, "recipe": recipe, "seed": self.recipe.seed, "step": step},
        }


def named(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"onebit.methods.{name}", "init_args": arguments}


CASES: dict[str, dict[str, Any]] = {
    "CycleBNN": {"data": {"augment": "flip_crop"}},
    "three batches a step": {"optimizer": {"lr": 0.01, "accumulate": 3}},
    "RBONN": {"method": named("RBONN")},
    "Bop": {"method": named("Bop", gamma=[0.1, 0.001], threshold=1e-5)},
}


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("case", CASES)
def test_a_run_and_one_resumed_from_an_older_file_are_the_plain_training(case: str, tmp_path: Path) -> None:
    recipe = tiny(trainer={"max_steps": STEPS, "validate_every": 10}, **CASES[case])
    plain = Plain(recipe)
    plain.take(0, HALF)
    torch.save(plain.lightning_checkpoint(HALF), tmp_path / "older.ckpt")
    plain.take(HALF, STEPS)
    fit(recipe, tmp_path / "whole", progress=False)
    result = fit(recipe, tmp_path / "resumed", resume=tmp_path / "older.ckpt", progress=False)
    assert result["skipped"] == {"a.jpg": "damaged"}
    for run in ("whole", "resumed"):
        found = torch.load(tmp_path / run / "last.ckpt", weights_only=True)
        assert found["onebit"]["step"] == STEPS
        for name, value in plain.weights().items():
            same = torch.equal(found["state_dict"][name], value) if isinstance(value, torch.Tensor) else True
            assert same, (run, name)
        assert found["lr_schedulers"][0]["last_epoch"] == STEPS
