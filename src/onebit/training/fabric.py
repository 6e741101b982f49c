"""Lightning Fabric, set up for a run: its processes, devices, precision and logs."""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import CSVLogger, TensorBoardLogger
from lightning.fabric.utilities.exceptions import MisconfigurationException

from onebit.errors import OnebitError
from onebit.training.recipe import TrainerConfig


def make_fabric(config: TrainerConfig, folder: Path) -> Fabric:
    """What a recipe's ``trainer`` says, not yet launched.

    Args:
        config: the recipe's ``trainer``.
        folder: the run's; logs go to ``logs/version_N`` in it, a version for each start.

    Raises:
        OnebitError: no such accelerator, or not as many devices.
    """
    _quieten()
    table = CSVLogger(folder, name="logs")
    board = TensorBoardLogger(folder, name="logs", version=table.version)
    try:
        return Fabric(
            precision=config.precision,
            accelerator="cpu" if config.backend == "native" else config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy="ddp" if config.devices * config.num_nodes > 1 else "auto",
            loggers=[table, board],
        )
    except (MisconfigurationException, ValueError, RuntimeError) as problem:
        raise _refused(problem) from problem


def launch(fabric: Fabric) -> None:
    """Starts the other processes of this machine, unless torchrun or SLURM did, and connects all.

    Raises:
        OnebitError: torchrun or SLURM started another number of processes.
    """
    threads = torch.get_num_threads()
    try:
        fabric.launch()
    except ValueError as problem:
        raise _refused(problem) from problem
    torch.set_num_threads(threads)  # Lightning takes a number of its own


def everywhere(fabric: Fabric, value: Any) -> list[Any]:
    """The values, in plain containers and tensors, that all processes have; in the order of their ranks."""
    values = [value] * fabric.world_size
    if fabric.world_size > 1:
        torch.distributed.all_gather_object(values, value)
    return values


def _refused(problem: Exception) -> OnebitError:
    return OnebitError(f"trainer: {problem}", hint="see trainer.accelerator, devices and num_nodes")


def _quieten() -> None:
    """Keeps what Lightning says to its developers off the user's terminal."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
