"""PyTorch: float32 and bfloat16 (autocast), channels last, in the fastest of its ways to run a network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from worker import Setting, fastest

from onebit import models


def versions() -> dict[str, str]:
    return {"torch": torch.__version__}


def settings(folder: Path, threads: int) -> list[Setting]:
    torch.set_num_threads(threads)
    torch._inductor.config.freezing = True
    path = folder / "resnet18.pt"
    net = models.create("resnet18_imagenet", num_classes=1000, full_precision=True).eval()
    net.load_state_dict(torch.load(path, weights_only=True))
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.from_numpy(np.load(folder / "images.npy")).contiguous(memory_format=torch.channels_last)
    inputs = list(images.split(1))
    result = []
    for numbers, bfloat in (("float32", False), ("bfloat16", True)):
        variants = {"eager": _variant(net, bfloat), "torch.compile with freezing": _variant(torch.compile(net), bfloat)}
        if not bfloat:
            traced = torch.jit.freeze(torch.jit.trace(net, inputs[0]))
            variants["torch.jit.optimize_for_inference"] = _variant(torch.jit.optimize_for_inference(traced), bfloat)
        how, run = fastest(variants, inputs[0])
        result.append(Setting("ResNet-18", numbers, path, inputs, run, folder / "resnet18.npy", how=how))
    return result


def _variant(net: Callable[[Tensor], Tensor], bfloat: bool) -> Callable[[Any], Any]:
    @torch.no_grad()  # inference_mode would keep torch.compile from freezing
    def run(x: Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat):
            return net(x).float().numpy()

    return run
