"""A recipe for CIFAR-10 trained in integers from beginning to end: accuracy, images per second, energy and time.

python benchmarks/native_run.py --folder ../runs/native_run

CycleBNN's ResNet-20 by the fused units, 20 epochs of the recipe at a batch of 128, of one thread, so that it can go on
beside other work. The run is a folder of `onebit train`: one that was broken off goes on where it stood, one that is
finished is not repeated. 5,000 training images are held out for the curve; the test images are read once, at the end.
Then a few steps alone on the machine, with all its cores, say how fast it is. Joules are the ledger's.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import runs
from runs import HELD_OUT, ROOT

from onebit.training import read_recipe
from onebit.training.record import write_record

RECIPE, BATCH, EPOCHS = "cyclebnn_cifar10_resnet20", 128, 20
EPOCH = runs.epoch(BATCH)
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
    if not runs.is_finished(args.folder):
        runs.train([command(EPOCHS * EPOCH, 2 * EPOCH, 1, args.folder)])
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        runs.train([command(ALONE, ALONE, cores, Path(folder) / "alone")])
        alone = json.loads((Path(folder) / "alone" / "record.json").read_text("utf-8"))["result"]
    done = {"test_top1": runs.test_top1(args.folder), **runs.result(args.folder)}
    content = {
        "recipe": RECIPE,
        "options": OPTIONS,
        "epochs": EPOCHS,
        "seed": read_recipe(ROOT / "recipes" / f"{RECIPE}.yaml", OPTIONS).seed,
        "energy_joule": done.pop("energy_joule"),
        "run": {"threads": 1, **done},
        "alone": {"threads": cores, **{key: alone[key] for key in ("steps", "images_per_second")}},
    }
    write_record(args.output, content)
    print(f"test top-1 {content['run']['test_top1']:.2%}; alone {alone['images_per_second']:,.0f} images/s")


def command(steps: int, every: int, threads: int, folder: Path) -> list[str]:
    options = {**OPTIONS, "trainer.max_steps": steps, "trainer.validate_every": every, "trainer.threads": threads}
    return runs.command(RECIPE, options, folder)


if __name__ == "__main__":
    main()
