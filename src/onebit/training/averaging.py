"""Averaged weights: what is evaluated, kept in checkpoints and exported instead of the last ones."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from onebit.training.recipe import AveragingConfig

_STATISTICS = ("running_mean", "running_var")


class Averaging(WeightAveraging):
    """Averages the weights over the steps from ``start`` on.

    ``ema``: ā ← d ā + (1 − d) w, from ā = w at the first step (Polyak and Juditsky, "Acceleration of Stochastic
    Approximation by Averaging", 1992, with exponential weights). ``swa``: the mean of all (Izmailov et al., "Averaging
    Weights Leads to Wider Optima and Better Generalization", UAI 2018), each step counting, and not each cycle.

    BatchNorm's running statistics are averaged like the weights; the paper of SWA measures them anew in a pass over the
    data, which this does not. Every other buffer, and what quantisers keep beside their tensors, is the last one.
    Before ``start`` the average is the weights themselves. Lightning's callback does the rest: it swaps the average in
    for validation, and a checkpoint's ``state_dict`` is the average, beside which it keeps the last weights to go on.

    Args:
        config: the recipe's ``averaging``.
        steps: the length of the run.
    """

    def __init__(self, config: AveragingConfig, steps: int) -> None:
        def ema(average: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
            return config.decay * average + (1 - config.decay) * now

        def mean(average: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
            return average + (now - average) / (count + 1)

        super().__init__(avg_fn=ema if config.name == "ema" else mean)
        self.start = int(config.start * steps)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and step_idx >= self.start

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self._follow(pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follow(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._follow(pl_module)
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        now = checkpoint.get("current_model_state", {})
        checkpoint["state_dict"] |= {name: value for name, value in now.items() if name.endswith("_extra_state")}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follow(pl_module)
        super().on_train_end(trainer, pl_module)

    def _follow(self, pl_module: LightningModule) -> None:
        """Copies what is not averaged; before the first step that counts, that is everything."""
        average = self._average_model
        assert average is not None
        begun = int(average.n_averaged) > 0
        pairs = zip(pl_module.named_buffers(), average.module.buffers(), strict=True)
        others = [(now, kept) for (name, now), kept in pairs if not (begun and name.endswith(_STATISTICS))]
        if not begun:
            others += zip(pl_module.parameters(), average.module.parameters(), strict=True)
        for now, kept in others:
            kept.data.copy_(now.data)
