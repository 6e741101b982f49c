"""The classification task: cross-entropy, top-1 and top-5."""

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from onebit.methods import Method
from onebit.training.metrics import accuracies
from onebit.training.optimizer import make_optimizer, make_schedule
from onebit.training.recipe import OptimizerConfig, ScheduleConfig


class Classifier(LightningModule):
    """Trains a network with cross-entropy and the terms that a method adds; measures ``loss``, ``top1``, ``top5``.

    Args:
        net: maps float images (N, C, H, W) to logits (N, K).
        num_classes: K.
        method: attached to ``net`` already; None trains ``net`` without a method.
        optimizer: settings of the optimiser.
        schedule: settings of the learning-rate schedule, which is updated in every step.
        steps: number of steps of the run, which the schedule spans.

    Example:
        >>> classifier = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), num_classes=10)
        >>> batch = torch.zeros(2, 1, 8, 8), torch.tensor([0, 1])
        >>> classifier.training_step(batch, 0).shape
        torch.Size([])
    """

    def __init__(
        self,
        net: nn.Module,
        num_classes: int,
        method: Method | None = None,
        optimizer: OptimizerConfig | None = None,
        schedule: ScheduleConfig | None = None,
        steps: int = 1,
    ) -> None:
        super().__init__()
        # the fastest layout for convolutions on the CPU
        self.net: nn.Module = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.method = method
        self.optimizer_config = optimizer or OptimizerConfig()
        self.schedule_config = schedule or ScheduleConfig()
        self.steps = steps
        self.accuracies, self.loss = accuracies(num_classes), MeanMetric()

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images.contiguous(memory_format=torch.channels_last))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        loss = F.cross_entropy(self(images), labels)
        if self.method is not None:
            loss = self.method.loss(loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        logits = self(images)
        self.accuracies.update(logits, labels)
        self.loss.update(F.cross_entropy(logits.float(), labels), len(labels))

    def compute_metrics(self) -> dict[str, Tensor]:
        """``loss``, ``top1`` and ``top5`` over the validation steps of all processes since the last call."""
        figures = {"loss": self.loss.compute(), **self.accuracies.compute()}
        self.loss.reset()
        self.accuracies.reset()
        return figures

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.compute_metrics())

    def make_optimizer(self) -> tuple[Optimizer, LambdaLR]:
        """Makes the optimiser and its schedule, once the parameters are on the device where they are trained."""
        groups = self.method.parameter_groups() if self.method is not None else []
        optimizer = make_optimizer(self.optimizer_config, self.net.parameters(), groups)
        return optimizer, make_schedule(self.schedule_config, optimizer, self.steps)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer, schedule = self.make_optimizer()
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
