"""CPT's precision range test: the lowest precision at which training makes progress."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import nn
from torch.nn import functional as F

from onebit.data import DataModule
from onebit.errors import OnebitError
from onebit.methods import Method
from onebit.training.build import make_method, make_net
from onebit.training.endless_loader import endless_loader
from onebit.training.optimizer import make_optimizer
from onebit.training.recipe import Recipe


class Cyclic(Protocol):
    """A method whose bit widths can be set."""

    gradient_bits: tuple[int, int]

    def set_bits(self, bits: int, gradient_bits: int) -> None: ...


@dataclass(frozen=True)
class RangeTestStep:
    """Training at one precision: the training accuracy at its end, and the gain in accuracy."""

    bits: int
    accuracy: float
    gain: float


def precision_range_test(
    recipe: Recipe,
    lowest: int = 2,
    highest: int = 8,
    steps: int = 100,
    window: int = 20,
    threshold: float = 0.05,
    progress: Callable[[int], None] = lambda bits: None,
) -> list[RangeTestStep]:
    """Raises the bit width from ``lowest``, and stops at the first at which training makes progress.

    All precisions train the same weights, one after the other. A_b is the training accuracy averaged over the last
    ``window`` iterations at b bits. The gain at b is A_b − A_(b−1); at the first b, it is A_b minus the average over
    the first ``window`` iterations. The first b that gains more than ``threshold`` is B_min for a cyclic schedule. The
    upper bound is the precision that one would train with otherwise.

    The paper raises the precision in the first epochs, and leaves the threshold and the lengths to the user; the
    defaults are ours. Gradients have the method's highest bit width, and the learning rate is the recipe's, without its
    schedule. The test runs on the CPU, and leaves the random state unchanged.

    Args:
        recipe: its method has a cycle of bits: CycleBNN or CPT. The lengths in its ``trainer`` are ignored.
        lowest, highest: the bit widths to try, 1 to 24.
        steps: iterations at each precision.
        window: iterations over which the accuracy is averaged.
        threshold: gain in accuracy that counts as progress, from 0 to 1.
        progress: called with each precision before it is tried.

    Returns:
        one step per precision that was tried; the last one is the result if its gain is above the threshold.

    Raises:
        OnebitError: the method has no cycle of bits, a range or a length is empty, or a loss is not finite.

    Reference: Fu et al., "CPT", ICLR 2021, arXiv 2101.09868, section 3.3.

    Example:
        >>> from onebit.training.recipe import parse_recipe
        >>> method = {"class_path": "onebit.methods.CycleBNN"}
        >>> values = {"model": {"name": "small", "options": {"width": 8}}, "method": method, "data": {"name": "digits"}}
        >>> recipe = parse_recipe({**values, "trainer": {"max_steps": 1}}, "example")
        >>> [step.bits for step in precision_range_test(recipe, 1, 2, steps=2, window=1, threshold=1.0)]
        [1, 2]
    """
    if not 1 <= lowest <= highest <= 24:
        raise OnebitError(f"range test: bits from {lowest} to {highest}", hint="1 to 24, the lower first")
    if not 1 <= window <= steps:
        raise OnebitError(f"range test: a window of {window} in {steps} steps", hint="1 to as many as the steps")
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        training = _Training(recipe)
        tried: list[RangeTestStep] = []
        for bits in range(lowest, highest + 1):
            progress(bits)
            start, total = (bits - lowest) * steps, (highest - lowest + 1) * steps
            hits = [training.step(t, total, bits) for t in range(start, start + steps)]
            accuracy = _mean(hits[-window:])
            before = tried[-1].accuracy if tried else _mean(hits[:window])
            tried.append(RangeTestStep(bits, accuracy, accuracy - before))
            if tried[-1].gain > threshold:
                break
    return tried


class _Training:
    """A plain loop over the recipe's batches."""

    def __init__(self, recipe: Recipe) -> None:
        if recipe.method is None:
            raise OnebitError("range test: the recipe has no method", hint="take one with CycleBNN or CPT")
        self.data = DataModule(**vars(recipe.data), seed=recipe.seed)
        self.net: nn.Module = make_net(
            recipe.model.name, recipe.model.options, len(self.data.classes), self.data.shape
        ).train()
        self.method: Method = make_method(recipe.method.class_path, recipe.method.init_args, trusted=True)
        if not hasattr(self.method, "set_bits"):
            raise OnebitError(
                f"range test: {type(self.method).__name__} has no cycle of bits", hint="take CycleBNN or CPT"
            )
        self.cyclic = cast(Cyclic, self.method)
        self.method.attach(self.net)
        self.optimizer = make_optimizer(recipe.optimizer, self.net.parameters(), self.method.parameter_groups())
        self.batches = endless_loader(self.data.train_dataloader())

    def step(self, t: int, total: int, bits: int) -> float:
        """Takes iteration t of ``total``; returns the accuracy on its batch before the update."""
        images, labels = next(self.batches)
        self.method.step(t, total)  # what a method does beside its bits
        self.cyclic.set_bits(bits, self.cyclic.gradient_bits[1])
        logits = self.net(images)
        loss = self.method.loss(F.cross_entropy(logits, labels))
        if not bool(loss.isfinite()):
            raise OnebitError(f"range test: the loss at {bits} bits is not finite", hint="lower optimizer.lr")
        self.optimizer.zero_grad()
        loss.backward()
        self.method.before_update()
        self.optimizer.step()
        return float((logits.argmax(1) == labels).float().mean())


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
