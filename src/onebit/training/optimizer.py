"""Optimisers, and learning-rate schedules over the steps of a run."""

import math
from collections.abc import Iterable, Sequence

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from onebit.methods import ParameterGroup, optimizer_groups
from onebit.training.recipe import OptimizerConfig, ScheduleConfig


def make_optimizer(
    config: OptimizerConfig, parameters: Iterable[nn.Parameter], groups: Sequence[ParameterGroup] = ()
) -> Optimizer:
    """Makes the optimiser that a recipe names, for the parameters that require a gradient.

    On the CPU it is PyTorch's fused implementation, which passes once over each parameter.

    Args:
        config: settings of the optimiser.
        parameters: all parameters of the network.
        groups: parameters to which a method gives other settings.

    Example:
        >>> make_optimizer(OptimizerConfig("adamw", lr=0.01), nn.Linear(2, 2).parameters()).defaults["lr"]
        0.01
    """
    wanted = optimizer_groups(parameters, groups, config.lr, config.weight_decay)
    on_cpu = all(parameter.device.type == "cpu" for group in wanted for parameter in group["params"])
    fused = True if on_cpu else None  # elsewhere as PyTorch chooses
    if config.name == "sgd":
        return SGD(wanted, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=fused)
    kind = {"adam": Adam, "adamw": AdamW}[config.name]
    return kind(wanted, lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def make_schedule(config: ScheduleConfig, optimizer: Optimizer, total: int) -> LambdaLR:
    """Makes the learning-rate schedule: in step t of ``total``, a factor of the optimiser's learning rate.

    It rises linearly over ``warmup`` steps. Then it is ½(1 + cos(π u)) for cosine, 1 − u for linear, or 1 for constant,
    where u is the share of the remaining steps that is done.
    """

    def factor(t: int) -> float:
        if t < config.warmup:
            return (t + 1) / config.warmup
        done = min((t - config.warmup) / max(total - config.warmup, 1), 1.0)
        if config.name == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return 1.0 - done if config.name == "linear" else 1.0

    return LambdaLR(optimizer, factor)
