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
    parser.add_argument(
        "--teachable",
        action="store_true",
        help="let a device train what lies behind the cut (model option latent_sign) as well as the head",
    )
    parser.add_argument(
        "--replay",
        type=int,
        default=300,
        metavar="N",
        help="training images whose latents, of one bit, a teachable file brings along; as many of each class",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def run(args: Namespace) -> dict[str, Any]:
    check_target(args.output, force=args.force)
    from onebit import deploy
    from onebit.training import load_checkpoint

    if args.replay < 0:
        raise OnebitError(f"--replay is {args.replay}", hint="give a number of images, 0 for none")
    net, info = load_checkpoint(args.checkpoint)
    images, origin = _images(info, real=args.teachable or args.real_valued == "int8")
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
        teachable=deploy.Teachable(*_replayed(info, args.replay)) if args.teachable else None,
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

    try:
        images, _ = _training_part(info, CALIBRATION_IMAGES)
    except OnebitError as problem:
        if real:
            raise OnebitError(
                f"int8 and a teachable tail need training images: {problem.message}",
                hint="leave --real-valued and --teachable away, or get the images (onebit data list)",
            ) from problem
        noise = torch.randn(CALIBRATION_IMAGES, *info["shape"], generator=torch.Generator().manual_seed(0))
        return noise, f"random noise, for want of training images: {problem.message}"
    images = images[torch.linspace(0, len(images) - 1, min(CALIBRATION_IMAGES, len(images))).long()]
    return _normalized(images, info), f"{len(images)} training images of {info['data']['name']}"


def _replayed(info: dict[str, Any], count: int) -> tuple["Tensor | None", list[int]]:
    """Normalised training images drawn at random, the classes in turn, and their classes."""
    import torch

    if count == 0:
        return None, []
    images, labels = _training_part(info, 4 * count)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(info["seed"]))
    one_hot = torch.nn.functional.one_hot(labels[order])
    nth = one_hot.cumsum(dim=0)[torch.arange(len(order)), labels[order]]  # of its class
    chosen = order[nth.argsort(stable=True)][:count]
    return _normalized(images[chosen], info), labels[chosen].tolist()


def _normalized(images: "Tensor", info: dict[str, Any]) -> "Tensor":
    import torch

    mean, std = (torch.tensor(info[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return (images / 255 - mean) / std


def _training_part(info: dict[str, Any], pictures: int) -> tuple["Tensor", "Tensor"]:
    """Training images, uint8 (N, C, H, W), of the classes that the network knows, and these as numbers of its logits.

    Of a data set that does not fit into memory, about ``pictures`` of them, spread over it.
    """
    import torch

    from onebit import data
    from onebit.data.pictures import PictureSet

    name, options = info["data"].get("name"), info["data"].get("options")
    if not isinstance(name, str) or not isinstance(options, dict):
        raise OnebitError("the checkpoint names no data set")
    data_set = data.create(name, **options)
    images, labels = data_set.sample(pictures) if isinstance(data_set, PictureSet) else data_set.train()
    classes = {label: number for number, label in enumerate(info["classes"])}
    labels = torch.tensor([classes.get(label, -1) for label in data_set.classes])[labels]
    images, labels = images[labels >= 0], labels[labels >= 0]
    if not len(images) or list(images.shape[1:]) != info["shape"]:
        raise OnebitError(f"the data set {name} here is not the one it was trained on")
    return images, labels
