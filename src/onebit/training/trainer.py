"""Lightning's trainer, set up for runs of many small steps."""

import logging
import warnings
from pathlib import Path

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from onebit.errors import OnebitError
from onebit.training.progress import ProgressBar
from onebit.training.recipe import TrainerConfig
from onebit.training.storage import AtomicCheckpointIO


def make_trainer(
    config: TrainerConfig, folder: Path, callbacks: list[Callback], validate_every: int, steps: int, accumulate: int = 1
) -> Trainer:
    """A trainer for one long epoch of ``steps`` batches (see :class:`onebit.training.stream.Stream`).

    Args:
        config: the recipe's ``trainer``.
        folder: the run's; logs go to ``logs/version_N`` in it, a version for each start.
        callbacks: in the order in which they act.
        validate_every: steps between validations, unless ``config`` says.
        steps: the length of the run.
        accumulate: batches per step.

    Raises:
        OnebitError: no such accelerator, or not as many devices.
    """
    _quieten()
    table = CSVLogger(folder, name="logs")
    board = TensorBoardLogger(folder, name="logs", version=table.version)
    timer: list[Callback] = [] if config.max_time is None else [Timer(config.max_time)]
    try:
        return Trainer(
            max_epochs=1,
            precision=config.precision,
            accelerator="cpu" if config.backend == "native" else config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy="ddp" if config.devices * config.num_nodes > 1 else "auto",
            accumulate_grad_batches=accumulate,
            val_check_interval=min(config.validate_every or validate_every, steps) * accumulate,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            log_every_n_steps=steps,  # History logs
            logger=[table, board],
            callbacks=[*timer, *callbacks],
            plugins=[AtomicCheckpointIO()],
            enable_checkpointing=False,  # Keeper writes them
            enable_model_summary=False,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            use_distributed_sampler=False,  # the loaders know their rank
        )
    except (MisconfigurationException, ValueError) as problem:
        raise OnebitError(f"trainer: {problem}", hint="see trainer.accelerator, devices and num_nodes") from problem


def _quieten() -> None:
    """Keeps what Lightning says to its developers off the user's terminal."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
