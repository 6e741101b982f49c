"""The history of a run: the figures of its plot and its record."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from onebit.cost.rule import FULL, CostRule, Widths, relative_cost
from onebit.nn import quantized_layers
from onebit.quantize import GradientQuantizer

POINTS = 400
"""Number of points of a training curve, whatever the length of the run."""


class History:
    """Keeps the training curves and the results of every validation, over all sessions of a run.

    Args:
        steps: number of steps of the run.
        steps_per_epoch: number of steps per pass over the data.
        rule: the method's operand widths; None if there is no method.

    Attributes:
        curve: points with ``step``, ``loss`` (mean since the point before), ``learning_rate``, ``precision`` (bits) and
            ``cost`` (of all steps so far by CycleBNN's formula, in which a 32-bit step costs 1).
        validations: ``step``, ``epoch``, ``seconds``, ``loss``, ``top1``, ``top5`` and ``precision`` per validation.
        seconds: wall time of all sessions of the run together.
        images: number of training images so far, of all processes and sessions; repeated images count each time.
    """

    def __init__(self, steps: int, steps_per_epoch: float, rule: CostRule | None) -> None:
        self.steps, self.steps_per_epoch = steps, steps_per_epoch
        self.rule = rule
        self.every = max(1, steps // POINTS)
        self.curve: list[dict[str, float]] = []
        self.validations: list[dict[str, float]] = []
        self.cost = 0.0
        self.images = 0
        self._loss = torch.zeros(())
        self._seconds_before = 0.0
        self._began = self._resumed = time.monotonic()
        self._training_seconds = 0.0  # up to the last validation
        self._first_step = 0
        self._quantizer: GradientQuantizer | None = None

    @property
    def seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._began

    @property
    def training_seconds(self) -> float:
        """`seconds` without the time of validation."""
        return self._training_seconds + time.monotonic() - self._resumed

    @property
    def images_per_second(self) -> float:
        """Training images per second of all processes together, without the time of validation."""
        return self.images / self.training_seconds

    def seconds_left(self, step: int) -> float:
        """Time from ``step`` to the end, at the pace of this session with its validations; infinite before a step."""
        done = step - self._first_step
        return (self.steps - step) * (time.monotonic() - self._began) / done if done else math.inf

    def begin(self, step: int, net: nn.Module, device: torch.device) -> None:
        """Starts the clock: the run begins, or resumes after ``step`` steps."""
        self._began = self._resumed = time.monotonic()
        self._first_step = step
        self._net = net
        self._quantizer = next((module for module in net.modules() if isinstance(module, GradientQuantizer)), None)
        self._loss = self._loss.to(device)

    def add_batch(self, images: int, loss: Tensor) -> None:
        """Adds the number of images in a batch of all processes, and the batch's part in the loss of its step."""
        self.images += images
        self._loss += loss.detach()

    def add_step(self, step: int, learning_rate: float) -> dict[str, float]:
        """Adds step number ``step`` of the run; returns the figures to log, if the curve has a new point.

        ``learning_rate`` is that of the next step.
        """
        self.cost += self._step_cost()
        if step % self.every:
            return {}
        loss = float(self._loss) / self.every
        self._loss.zero_()
        rest = {"learning_rate": learning_rate, "precision": precision(self._net), "cost": self.cost}
        self.curve.append({"step": step, "loss": loss, **rest})
        return {"train_loss": loss, **rest}

    @contextmanager
    def validation(self) -> Iterator[None]:
        """Within this context, time does not count as training time."""
        self._training_seconds = self.training_seconds
        try:
            yield
        finally:
            self._resumed = time.monotonic()

    def add_validation(self, step: int, figures: dict[str, float]) -> None:
        """Adds the ``loss``, ``top1`` and ``top5`` of a validation after ``step`` steps."""
        moment = {"step": step, "epoch": step / self.steps_per_epoch, "seconds": self.seconds}
        self.validations.append({**moment, **figures, "precision": precision(self._net)})

    def state_dict(self) -> dict[str, Any]:
        return {
            "curve": self.curve,
            "validations": self.validations,
            "cost": self.cost,
            "loss": self._loss.cpu(),
            "seconds": self.seconds,
            "images": self.images,
            "training_seconds": self.training_seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curve, self.validations = state_dict["curve"], state_dict["validations"]
        self.cost, self._loss, self._seconds_before = state_dict["cost"], state_dict["loss"], state_dict["seconds"]
        self.images = state_dict.get("images", 0)  # a checkpoint of an older version has neither
        self._training_seconds = state_dict.get("training_seconds", 0.0)

    def _step_cost(self) -> float:
        bits, gradient = precision(self._net), round(self.rule.mean("gradient")) if self.rule else FULL
        widths = Widths(1.0, bits, bits, gradient if self._quantizer is None else self._quantizer.bits)
        return sum(map(relative_cost, widths.products().values())) / 3


def precision(net: nn.Module) -> int:
    """b_t: the present bit width of the quantised layers' inputs; 32 for a network without such layers.

    Example:
        >>> precision(nn.Linear(2, 2))
        32
    """
    quantizer = next((layer.input_quantizer for _, layer in quantized_layers(net)), None)
    return FULL if quantizer is None else int(getattr(quantizer, "bits", getattr(quantizer, "precision", 1)))
