"""``onebit export``: a checkpoint to a packed model."""

from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from onebit.errors import OnebitError
from onebit.files import check_target
from onebit.tables import layer_table

EXAMPLE = "onebit export runs/digits/best.ckpt -o digits.obn"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=str, help="a checkpoint of onebit train")
    parser.add_argument("-o", "--output", type=str, required=True, metavar="OBN", help="the file to write")
    parser.add_argument(
        "--real-valued",
        type=Literal["float32", "int8"],
        default="float32",
        help="numbers of the layers that are not binary; int8 only where it changes the top-1 of no training image",
    )
    parser.add_argument(
        "--int8-tolerance",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the calibration images, 0 to 1, whose top-1 may change in int8",
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
        help="number of training images to store as 1-bit replay latents, balanced across classes",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def run(args: Namespace) -> dict[str, Any]:
    check_target(args.output, force=args.force)
    from onebit import deploy
    from onebit.training import load_checkpoint

    if args.replay < 0:
        raise OnebitError(f"--replay is {args.replay}", hint="give a number of images, 0 for none")
    net, info = load_checkpoint(args.checkpoint)
    real = args.teachable or args.real_valued == "int8"
    try:
        images, origin = deploy.calibration_images(info, noise=not real)
    except OnebitError as problem:
        raise OnebitError(
            f"int8 and a teachable tail need training images: {problem.message}",
            hint="leave --real-valued and --teachable away, or get the images (onebit data list)",
        ) from problem
    provenance = {key: info[key] for key in ("model", "method", "data", "recipe", "step", "seed")}
    report = deploy.export(
        net,
        args.output,
        images,
        classes=info["classes"],
        samples=info["samples"],
        mean=info["mean"],
        std=info["std"],
        resize=deploy.evaluation_resize(info),
        provenance={**provenance, "calibration": origin},
        real_valued=args.real_valued,
        int8_tolerance=args.int8_tolerance,
        teachable=deploy.replay_images(info, args.replay) if args.teachable else None,
        force=args.force,
    )
    return {**report.as_dict(), "calibration": origin}


def show(result: dict[str, Any], console: Console) -> None:
    from onebit.deploy.verify import Verified

    console.print(layer_table(f"{result['path']}: {result['bytes']:,} bytes", result["layers"]))
    verified = Verified(**result["verified"])
    for note in (*result["notes"], f"ranges: measured on {result['calibration']}", str(verified)):
        console.print(note)
