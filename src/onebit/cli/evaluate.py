"""``onebit evaluate``: the accuracy of a checkpoint or a packed model on held-out images."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from onebit.errors import OnebitError
from onebit.format.layout import MAGIC

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLE = "onebit evaluate runs/digits_cyclebnn/best.ckpt"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=str, help="a checkpoint (.ckpt) or a packed model (.obn)")
    parser.add_argument("--data", type=str | None, default=None, help="a data set (default: the one it was trained on)")


def run(args: Namespace) -> dict[str, Any]:
    from onebit.data import DataModule
    from onebit.training import evaluate

    subject = _packed(args.model) if _is_packed(args.model) else _checkpoint(args.model)
    name, options = subject.data if args.data is None else (args.data, {})
    if not name:
        raise OnebitError(f"{args.model} does not say what it was trained on", hint="name a data set with --data")
    data = DataModule(name, options, classes=subject.classes or None, num_workers=os.cpu_count() or 1)
    if data.shape != subject.shape:
        sizes = ["×".join(map(str, shape)) for shape in (subject.shape, data.shape)]
        raise OnebitError(
            f"{args.model} takes images of {sizes[0]}, {name} has {sizes[1]}", hint="name another data set"
        )
    figures = evaluate(subject.predict, data.held_out(subject.mean, subject.std), len(data.classes))
    return {**figures, "skipped": data.skipped}


def show(result: dict[str, Any], console: Console) -> None:
    figures = f"top-1 {result['top1']:.2%}, top-5 {result['top5']:.2%}"
    console.print(f"{figures} of {result['images']} images in {result['seconds']:.1f} s", highlight=False)
    if result["skipped"]:
        names = ", ".join(list(result["skipped"])[:10])
        console.print(f"{len(result['skipped'])} damaged images or shards were left out: {names}", highlight=False)


class _Subject(NamedTuple):
    predict: "Callable[[Tensor], Tensor]"
    data: tuple[str, dict[str, Any]]
    classes: Sequence[str]
    shape: tuple[int, ...]
    mean: Sequence[float]
    std: Sequence[float]


def _is_packed(path: str) -> bool:
    """By its name, or by its first bytes: a damaged one is still no checkpoint."""
    if path.lower().endswith(".obn"):
        return True
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:  # load_checkpoint says what is wrong
        return False


def _checkpoint(path: str) -> _Subject:
    from onebit.training import load_checkpoint

    net, info = load_checkpoint(path)
    data = info["data"]["name"], info["data"]["options"]
    return _Subject(net, data, info["classes"], tuple(info["shape"]), info["mean"], info["std"])


def _packed(path: str) -> _Subject:
    import torch

    import onebit

    model = onebit.load(path)
    trained_on = model.provenance.get("data")
    data: tuple[str, dict[str, Any]] = ("", {})
    if isinstance(trained_on, dict) and isinstance(trained_on.get("options", {}), dict):
        data = str(trained_on.get("name", "")), trained_on.get("options", {})

    def predict(images: "Tensor") -> "Tensor":
        return torch.from_numpy(model(images.numpy()))

    return _Subject(predict, data, model.classes, model.input_shape, model.mean, model.std)
