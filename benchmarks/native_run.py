"""A recipe for CIFAR-10 trained in integers from its beginning to its end: accuracy, images a second, energy and time.

python benchmarks/native_run.py --folder ../runs/native_run

CycleBNN's ResNet-20 by the fused units, 20 epochs of the recipe at a batch of 128, of one thread, so that it can go on
beside other work. The run is a folder of `onebit train`: one that was broken off goes on where it stood, one that is
finished is not repeated. 5,000 training images are held out for the curve; the test images are read once, at the end.
Then a few steps alone on the machine, with all its cores, say how fast it is. Joules are the ledger's.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import torch
from fused_learning import ROOT, result, train

from onebit import cost, models
from onebit.training import read_recipe
from onebit.training.build import make_method
from onebit.training.recipe import Recipe
from onebit.training.record import write_record

RECIPE, BATCH, HELD_OUT, IMAGES, EPOCHS = "cyclebnn_cifar10_resnet20", 128, 5000, 50_000, 20
EPOCH = -(-(IMAGES - HELD_OUT) // BATCH)
OPTIONS = {
    "data.batch_size": BATCH,
    "data.num_workers": 0,
    "data.validation": HELD_OUT,
    "trainer.backend": "native",
}
ALONE = 100
"""Steps of the run that says how fast the machine is when it does nothing else."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of the run")
    parser.add_argument("--output", default="results/native_run.json")
    args = parser.parse_args()
    if not (args.folder / "record.json").exists():
        train([command(EPOCHS * EPOCH, 2 * EPOCH, 1, args.folder)])
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        train([command(ALONE, ALONE, cores, Path(folder) / "alone")])
        alone = json.loads((Path(folder) / "alone" / "record.json").read_text("utf-8"))["result"]
    recipe = read_recipe(ROOT / "recipes" / f"{RECIPE}.yaml", OPTIONS)
    content = {
        "recipe": RECIPE,
        "options": OPTIONS,
        "epochs": EPOCHS,
        "seed": recipe.seed,
        "run": {"threads": 1, **result(args.folder)},
        "alone": {"threads": cores, **{key: alone[key] for key in ("steps", "images_per_second")}},
        "energy_joule": energy(recipe, EPOCHS * EPOCH),
    }
    write_record(args.output, content)
    print(f"test top-1 {content['run']['test_top1']:.2%}; alone {alone['images_per_second']:,.0f} images/s")


def command(steps: int, every: int, threads: int, folder: Path) -> list[str]:
    options = {**OPTIONS, "trainer.max_steps": steps, "trainer.validate_every": every, "trainer.threads": threads}
    words = [f"--{key}={value}" for key, value in options.items()]
    if (folder / "last.ckpt").exists():
        words.append(f"--resume={folder / 'last.ckpt'}")
    return [sys.executable, "-m", "onebit", "train", f"{ROOT}/recipes/{RECIPE}.yaml", *words, "--output", str(folder)]


def energy(recipe: Recipe, steps: int) -> dict[str, float]:
    """Joule of the arithmetic of a run, and of the same run in 32 bits."""
    net = models.create(recipe.model.name, **recipe.model.options)
    assert recipe.method is not None
    method = make_method(recipe.method.class_path, recipe.method.init_args, trusted=True)
    method.attach(net)
    ledger = cost.count(net, torch.zeros(1, *net.input_shape), method, recipe.optimizer.name, recipe.data.batch_size)
    return {name: ledger.energy_joule[name] * steps * BATCH for name in ("training", "training_full_precision")}


if __name__ == "__main__":
    main()
