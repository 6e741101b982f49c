"""Sets up Lightning Fabric for a run: its processes, devices, precision and logs."""

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
    """Makes the Fabric that a recipe's ``trainer`` describes, not launched yet.

    Args:
        config: the recipe's ``trainer``.
        folder: folder of the run; each start logs to a new folder ``logs/version_N`` in it.

    Raises:
        OnebitError: the accelerator does not exist, or has fewer devices.
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
    """Starts the other processes of this machine, unless torchrun or SLURM has, and connects all processes.

    Raises:
        OnebitError: torchrun or SLURM started another number of processes.
    """
    threads = torch.get_num_threads()
    try:
        fabric.launch()
    except ValueError as problem:
        raise _refused(problem) from problem
    torch.set_num_threads(threads)  # Lightning sets a number of its own


def gather(fabric: Fabric, value: Any) -> list[Any]:
    """Gathers a value, in plain containers and tensors, from all processes, in the order of their ranks."""
    values = [value] * fabric.world_size
    if fabric.world_size > 1:
        torch.distributed.all_gather_object(values, value)
    return values


def _refused(problem: Exception) -> OnebitError:
    return OnebitError(f"trainer: {problem}", hint="see trainer.accelerator, devices and num_nodes")


def _quieten() -> None:
    """Keeps Lightning's messages to developers off the user's terminal."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
