"""A trained network packed, beside itself in PyTorch, on every held-out image: logits and top-1.

A sign whose argument lies within rounding of its threshold may fall on either side, and one such bit moves the logits.
How often PyTorch differs from itself, when oneDNN's convolutions are switched off, is measured beside it.

python benchmarks/packed_vs_torch.py runs/c/last.ckpt --output results/packed_vs_torch.json
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import onebit
from onebit.data import DataModule
from onebit.deploy import export
from onebit.training import load_checkpoint
from onebit.training.record import write_record

TOLERANCE = 1e-3  # of the largest logit of an image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--output", default="results/packed_vs_torch.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    net, info = load_checkpoint(args.checkpoint)
    images = DataModule(info["data"]["name"], info["data"]["options"]).held_out(info["mean"], info["std"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.obn"
        export(net, path, next(iter(images))[0])
        result = compare(net, onebit.load(path), images)
    recipe, seed = info["recipe"], info["seed"]
    write_record(args.output, {"seed": seed, "step": info["step"], "recipe": recipe, "result": result})
    print(result)


@torch.inference_mode()
def compare(net: nn.Module, model: onebit.Model, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """The packed answers, and PyTorch's without oneDNN, against PyTorch's.

    Args:
        net: in evaluation mode.
        model: the same, packed.
        batches: normalised images (N, C, H, W) and labels (N,).
    """
    packed, plain, other, labels = [], [], [], []
    for x, y in batches:
        packed.append(model(x.numpy()))
        plain.append(net(x).numpy())
        with torch.backends.mkldnn.flags(enabled=False):
            other.append(net(x).numpy())
        labels.append(y.numpy())
    truth = np.concatenate(labels)
    return {
        "images": len(truth),
        "torch_top1": float((np.concatenate(plain).argmax(axis=1) == truth).mean()),
        "packed_top1": float((np.concatenate(packed).argmax(axis=1) == truth).mean()),
        "packed_against_torch": _compare(np.concatenate(packed), np.concatenate(plain)),
        "torch_without_onednn_against_torch": _compare(np.concatenate(other), np.concatenate(plain)),
    }


def _compare(ours: NDArray[Any], theirs: NDArray[Any]) -> dict[str, float]:
    difference = np.abs(ours - theirs).max(axis=1) / np.abs(theirs).max(axis=1)
    return {
        "same_top1": int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum()),
        "within_tolerance": int((difference <= TOLERANCE).sum()),
        "median_difference": float(np.median(difference)),
        "largest_difference": float(difference.max()),
    }


if __name__ == "__main__":
    main()
