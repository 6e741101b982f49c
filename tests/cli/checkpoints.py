"""Checkpoints as `onebit train` writes them, without the training."""

from pathlib import Path
from typing import Any

import torch

from onebit import data, methods, models


def write_checkpoint(path: Path, latent_sign: str | None = None, **changes: Any) -> Path:
    """A small network for six of the digits, with CycleBNN after one step; ``changes`` replace entries."""
    options = {} if latent_sign is None else {"latent_sign": latent_sign}
    torch.manual_seed(0)
    net = models.create("small", num_classes=6, **options)
    method = methods.CycleBNN(bits=(2, 4), cycles=1)
    methods.apply(method, net)
    method.step(0, 10)
    net.train()
    net(torch.randn(16, 1, 8, 8))
    digits = data.create("digits")
    info = {
        "model": {"name": "small", "options": options},
        "method": {"class_path": "onebit.methods.CycleBNN", "init_args": {"bits": [2, 4], "cycles": 1}},
        "data": {"name": "digits", "options": {}},
        "classes": [str(digit) for digit in range(6)],
        "samples": [100] * 6,
        "shape": [1, 8, 8],
        "mean": list(digits.mean),
        "std": list(digits.std),
        "recipe": {"data": {"name": "digits"}},
        "step": 10,
        "seed": 0,
    }
    weights = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"onebit": {**info, **changes}, "state_dict": weights}, path)
    return path
