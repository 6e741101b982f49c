"""``onebit demo``: the whole way in minutes, on scikit-learn's handwritten digits.

Three networks are trained: a real-valued one and a binary one (CycleBNN) over all ten digits, and a binary backbone
that never sees 6 to 9. The second is packed and compared with PyTorch; the third is packed and taught the rest as
on a device, in two experiences, while the power is cut. Every accuracy is that of the last weights on the held-out
fifth of the images.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from onebit.cli import build_parser
from onebit.errors import OnebitError
from onebit.files import atomic_dir
from onebit.tables import folding_table

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from onebit.data import DataModule
    from onebit.runtime import Learner, Model
    from onebit.training import Recipe

EXAMPLE = "onebit demo --json"
OLD = ["0", "1", "2", "3", "4", "5"]
EXPERIENCES = (["6", "7"], ["8", "9"])
EPOCHS = 30
BACKBONE_EPOCHS = 15  # longer training makes the old classes surer and the new ones harder to add (docs/learner.md)
POWER_CUTS = 8
KILLED = 1 if os.name == "nt" else -9  # the exit status of a process after kill()
_LOGITS_TOLERANCE = 1e-3  # relative to the largest logit of an image (docs/architecture.md)


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="of the weights, the batches and the learner")
    parser.add_argument("--keep", metavar="FOLDER", help="keep checkpoints, models and the learner in this new folder")


def run(args: Namespace) -> dict[str, Any]:
    began = time.perf_counter()
    place = atomic_dir(args.keep) if args.keep else tempfile.TemporaryDirectory(prefix="onebit-demo-")
    with place as folder:
        result = _all_digits(Path(folder), args.seed) | _new_digits(Path(folder), args.seed)
    return result | {"seconds": time.perf_counter() - began}


def show(result: dict[str, Any], console: Console) -> None:
    def percent(key: str) -> str:
        return f"{100 * result[key]:.2f} %"

    learned = ", ".join(result["learned_classes"])
    rows = [
        ("all ten digits: accuracy, real-valued twin in PyTorch", percent("float_top1")),
        ("accuracy, binary network in PyTorch", percent("binary_top1")),
        ("accuracy, packed network in the engine", percent("packed_top1")),
        ("the packed network answers as PyTorch does", _yes(result["packed_equals_torch"])),
        ("bytes: packed file", f"{result['model_bytes']:,}"),
        ("bytes: weights of the real-valued twin", f"{result['float_bytes']:,}"),
        ("latency of the packed network, one image, one thread", f"{result['median_ms']:.3f} ms"),
        ("operations saved in training, bit-operations of all layers", f"{result['operations_saved_percent']:.2f} %"),
        (f"taught on the device: {learned}: accuracy on the old classes", percent("old_top1")),
        ("accuracy on the new classes", percent("new_top1")),
        ("accuracy on the old classes after naive fine-tuning instead", percent("naive_old_top1")),
        (f"whole after {POWER_CUTS} power cuts while learning", _yes(result["survived_power_cut"])),
        ("all of this took", f"{result['seconds']:.0f} s"),
    ]
    table = folding_table("handwritten digits, 8×8", "", title="onebit demo")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _all_digits(folder: Path, seed: int) -> dict[str, Any]:
    """Trains the twin and the binary network over ten classes; packs, compares and times the latter."""
    import torch

    import onebit
    from onebit.data import DataModule
    from onebit.training import load_checkpoint

    data = DataModule("digits")
    twin = _train(folder / "float", _recipe(seed, binary=False), "1/3 the real-valued twin")
    binary = _train(folder / "binary", _recipe(seed, binary=True), "2/3 the binary network")
    packed = _export(folder / "binary", folder / "digits.obn")

    x, labels = _test_images(data)
    model = onebit.load(packed)
    ours = model(x)
    with torch.inference_mode():
        theirs = load_checkpoint(folder / "binary" / "last.ckpt")[0](torch.from_numpy(x)).numpy()
    near = np.abs(ours - theirs).max(axis=1) <= _LOGITS_TOLERANCE * np.abs(theirs).max(axis=1)
    float_net, _ = load_checkpoint(folder / "float" / "last.ckpt")
    timed = _command("bench", packed)
    return {
        "float_top1": twin["last_top1"],
        "binary_top1": binary["last_top1"],
        "packed_top1": _share(ours.argmax(axis=1), labels),
        "packed_equals_torch": bool(near.all() and (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()),
        "model_bytes": packed.stat().st_size,
        "float_bytes": sum(tensor.nbytes for tensor in float_net.state_dict().values()),
        "median_ms": timed["median_ms"],
        "operations_saved_percent": binary["operations_saved_percent"],
    }


def _new_digits(folder: Path, seed: int) -> dict[str, Any]:
    """Trains a backbone without the new classes, packs it, and teaches them to it."""
    import onebit
    from onebit.data import DataModule

    new = [name for names in EXPERIENCES for name in names]
    _train(
        folder / "backbone",
        _recipe(seed, binary=True, epochs=BACKBONE_EPOCHS, classes=OLD),
        "3/3 the backbone of six classes",
    )
    model = onebit.load(_export(folder / "backbone", folder / "backbone.obn"))
    folders = [_write_images(folder / f"experience{i}", names) for i, names in enumerate(EXPERIENCES)]
    store = folder / "store"
    with onebit.Learner.create(store, model, seed=seed):
        pass
    whole = _cut_the_power(store, folders[0])
    for i, place in enumerate(folders):
        _finish(_teach(store, place, f"experience {i}"))
    with onebit.Learner.open(store) as learner:
        return {
            "learned_classes": [name for name in learner.classes if name in new],
            "old_top1": _learned(learner, DataModule("digits", classes=OLD)),
            "new_top1": _learned(learner, DataModule("digits", classes=new)),
            "naive_old_top1": _naive(model, folder / "backbone" / "last.ckpt", seed),
            "survived_power_cut": whole and set(new) <= set(learner.classes),
        }


def _recipe(seed: int, *, binary: bool, epochs: int = EPOCHS, classes: list[str] | None = None) -> "Recipe":
    from onebit.training.recipe import (
        DataConfig,
        MethodConfig,
        ModelConfig,
        OptimizerConfig,
        Recipe,
        TrainerConfig,
    )

    return Recipe(
        model=ModelConfig("small", {"full_precision": not binary}),
        method=MethodConfig("onebit.methods.CycleBNN") if binary else None,
        data=DataConfig("digits", batch_size=32, classes=classes),
        optimizer=OptimizerConfig(lr=1e-2),
        trainer=TrainerConfig(max_epochs=epochs, threads=1),  # too small a network for two
        seed=seed,
    )


def _train(folder: Path, recipe: "Recipe", title: str) -> dict[str, Any]:
    from onebit.training import fit
    from onebit.training.interruption import Stopped

    print(f"training {title}", file=sys.stderr)
    try:
        return fit(recipe, folder)
    except Stopped as stop:  # how to go on would be wrong: the folder goes
        raise OnebitError(f"the demo was {stop.message}", hint="run it again") from None


def _export(run_folder: Path, path: Path) -> Path:
    _command("export", run_folder / "last.ckpt", "-o", path)
    return path


def _command(name: str, *words: object) -> dict[str, Any]:
    """The result that the command would print with ``--json``; its options are those that its parser knows."""
    parser, module = build_parser(name)
    result: dict[str, Any] = module.run(parser.parse_args([str(word) for word in words]))
    return result


def _test_images(data: "DataModule") -> tuple["NDArray[np.float32]", "NDArray[np.int64]"]:
    """The held-out images, normalised, and their labels."""
    batches = list(data.test_dataloader())
    return np.concatenate([x.numpy() for x, _ in batches]), np.concatenate([y.numpy() for _, y in batches])


def _write_images(folder: Path, names: list[str]) -> Path:
    """The training images of some classes as PNG files, in a folder per class: what a person would show the device."""
    from PIL import Image

    from onebit.data import DataModule

    images, labels = DataModule("digits", classes=names).train_split
    for i, (image, label) in enumerate(zip(images.numpy(), labels.tolist(), strict=True)):
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(place / f"{i}.png")
    return folder


def _teach(store: Path, images: Path, experience: str) -> "subprocess.Popen[str]":
    words = ["learn", "teach", str(store), str(images), "--experience", experience, "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "onebit", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _finish(child: "subprocess.Popen[str]") -> None:
    _, errors = child.communicate()
    if child.returncode != 0:
        raise RuntimeError(f"teaching failed: {errors}")


def _cut_the_power(store: Path, images: Path) -> bool:
    """Kills a teaching process at moments spread over the second half of its life.

    True if after each the store was whole with all of the experience or nothing of it, and a cut came in the middle.
    """
    import onebit

    trial = store.with_name("trial")
    shutil.copytree(store, trial)
    began = time.perf_counter()
    _finish(_teach(trial, images, "experience 0"))
    duration = time.perf_counter() - began
    states = []
    for folder in (store, trial):
        with onebit.Learner.open(folder) as learner:
            states.append(learner.classes)
    whole, cut = True, False
    for i in range(POWER_CUTS):
        child = _teach(store, images, "experience 0")
        time.sleep(duration * (0.5 + 0.5 * i / POWER_CUTS))
        child.kill()
        cut |= child.wait() == KILLED
        with onebit.Learner.open(store) as learner:
            whole &= learner.check()["damaged"] == 0 and learner.classes in states
    return whole and cut


def _learned(learner: "Learner", data: "DataModule") -> float:
    """Accuracy of the learner on the held-out images of some of its classes."""
    x, labels = _test_images(data)
    names = np.array(list(learner.classes))
    return _share(names[learner.scores(x).argmax(axis=1)], np.array(data.classes)[labels])


def _naive(model: "Model", checkpoint: Path, seed: int) -> float:
    """Accuracy on the old classes after the same head went on training on the new images alone, in float."""
    import torch

    from onebit.continual import NaiveFineTuning, with_bias
    from onebit.data import DataModule
    from onebit.training import load_checkpoint

    net, info = load_checkpoint(checkpoint)
    dense = net.get_submodule("head")
    rows = torch.cat([dense.get_parameter("weight"), dense.get_parameter("bias")[:, None]], dim=1).detach()
    coming = sum(map(len, EXPERIENCES))
    past = torch.tensor(info["samples"] + [0] * coming)
    head = NaiveFineTuning(torch.cat([rows, rows.new_zeros(coming, rows.shape[1])]), past, seed=seed)

    def features(images: "Tensor", data: DataModule) -> "Tensor":
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.mean, data.std))
        return with_bias(torch.from_numpy(model(((images / 255 - mean) / std).numpy(), output="features")))

    known = len(OLD)
    for names in EXPERIENCES:
        data = DataModule("digits", classes=names)
        images, labels = data.train_split
        head.learn(features(images, data), labels + known)
        known += len(names)
    data = DataModule("digits", classes=OLD)
    images, labels = data.test_split
    return _share(head.predict(features(images, data)).numpy(), labels.numpy())


def _share(predicted: "NDArray[Any]", truth: "NDArray[Any]") -> float:
    return float((predicted == truth).mean())


def _yes(value: bool) -> str:
    return "yes" if value else "no"
