"""``onebit export``: a checkpoint to a packed model."""

from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from onebit.errors import OnebitError
from onebit.files import check_target
from onebit.tables import layer_table

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLE = "onebit export runs/digits/best.ckpt -o digits.obn"
CALIBRATION_IMAGES = 512


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=str, help="a checkpoint of onebit train")
    parser.add_argument("-o", "--output", type=str, required=True, metavar="OBN", help="the file to write")
    parser.add_argument(
        "--real-valued",
        type=Literal["float32", "int8"],
        default="float32",
        help="numbers of the layers that are not binary; int8 only where no training image gets another top-1",
    )
    parser.add_argument(
        "--int8-tolerance",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the training images looked at, 0 to 1, whose top-1 may change in int8",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def run(args: Namespace) -> dict[str, Any]:
    check_target(args.output, force=args.force)
    from onebit import deploy
    from onebit.training import load_checkpoint

    net, info = load_checkpoint(args.checkpoint)
    images, origin = _images(info, real=args.real_valued == "int8")
    provenance = {key: info[key] for key in ("model", "method", "data", "recipe", "step", "seed")}
    report = deploy.export(
        net,
        args.output,
        images,
        classes=info["classes"],
        samples=info["samples"],
        mean=info["mean"],
        std=info["std"],
        provenance={**provenance, "calibration": origin},
        real_valued=args.real_valued,
        int8_tolerance=args.int8_tolerance,
        force=args.force,
    )
    return {**report.as_dict(), "calibration": origin}


def show(result: dict[str, Any], console: Console) -> None:
    console.print(layer_table(f"{result['path']}: {result['bytes']:,} bytes", result["layers"]))
    for note in (*result["notes"], f"ranges: measured on {result['calibration']}"):
        console.print(note)


def _images(info: dict[str, Any], real: bool) -> tuple["Tensor", str]:
    """Normalised images over which ranges are measured, and what they are: noise in need, unless they must be real."""
    import torch

    mean, std = (torch.tensor(info[key]).view(-1, 1, 1) for key in ("mean", "std"))
    try:
        images = _training_images(info)
    except OnebitError as problem:
        if real:
            raise OnebitError(
                f"int8 is checked on training images: {problem.message}",
                hint="leave --real-valued at float32, or get the images (onebit data list)",
            ) from problem
        noise = torch.randn(CALIBRATION_IMAGES, *info["shape"], generator=torch.Generator().manual_seed(0))
        return noise, f"random noise, for want of training images: {problem.message}"
    return (images / 255 - mean) / std, f"{len(images)} training images of {info['data']['name']}"


def _training_images(info: dict[str, Any]) -> "Tensor":
    """Some, uint8 (N, C, H, W), spread over the training part, of the classes that the network knows."""
    import torch

    from onebit import data
    from onebit.data.pictures import PictureSet

    name, options = info["data"].get("name"), info["data"].get("options")
    if not isinstance(name, str) or not isinstance(options, dict):
        raise OnebitError("the checkpoint names no data set")
    data_set = data.create(name, **options)
    if isinstance(data_set, PictureSet):
        images, labels = data_set.sample(CALIBRATION_IMAGES)
    else:
        images, labels = data_set.train()
    known = [data_set.classes.index(label) for label in info["classes"] if label in data_set.classes]
    images = images[torch.isin(labels, torch.tensor(known))]
    if not len(images) or list(images.shape[1:]) != info["shape"]:
        raise OnebitError(f"the data set {name} here is not the one it was trained on")
    return images[torch.linspace(0, len(images) - 1, min(CALIBRATION_IMAGES, len(images))).long()]
