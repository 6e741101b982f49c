"""A thousand experiences on one learner: do its memory and its file stay as they are?

Each experience is noise images of a few classes, which train head and tail and replays latents, on a
file on the disk, in a process without PyTorch, as on a device; now and then a class is forgotten or an experience taken
back. The resident memory and the file's size are read after every ROUND experiences. They are flat if the line through
the readings of memory, less the first fifth, rises by less than FLAT_BYTES, and the file's size was always the same.
Linux only.

python benchmarks/learner_soak.py --experiences 1000 --output results/learner_soak.json
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.progress import Progress
from soak import FLAT_BYTES, in_another_process, record, resident_bytes

import onebit

SEED = 0
ROUND = 20
IMAGES = 16
EPOCHS = 4
CLASSES = [f"class {j}" for j in range(20)]


def export_backbone(path: Path) -> None:
    import torch

    from onebit import deploy, models

    torch.manual_seed(SEED)
    net = models.create("small", num_classes=6, latent_sign="blocks.1").eval()
    images = torch.randn(64, *net.input_shape)
    names, replay = [str(j) for j in range(6)], deploy.Teachable(images, [j % 6 for j in range(64)])
    deploy.export(net, path, images, classes=names, samples=[100] * 6, teachable=replay)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiences", type=int, default=1000)
    parser.add_argument("--output", default="results/learner_soak.json")
    args = parser.parse_args()
    resident, sizes = [], []
    forgotten = taken_back = 0
    with tempfile.TemporaryDirectory() as folder:
        in_another_process(export_backbone, Path(folder) / "m.obn")
        model = onebit.load(Path(folder) / "m.obn")
        rng = np.random.default_rng(SEED)
        with (
            onebit.Learner.create(Path(folder) / "store", model) as learner,
            Progress(disable=not sys.stderr.isatty()) as progress,
        ):
            for i in progress.track(range(args.experiences), description="teaching"):
                images = rng.standard_normal((IMAGES, *model.input_shape), np.float32)
                names = rng.choice(CLASSES, 3)[rng.integers(0, 3, IMAGES)].tolist()
                taught = learner.teach(images, names, str(i), epochs=EPOCHS)
                assert taught.counted
                if i % 50 == 49:
                    learner.forget(names[0])
                    forgotten += 1
                elif i % 20 == 19:
                    learner.rollback()
                    taken_back += 1
                if i % ROUND == ROUND - 1:
                    resident.append(resident_bytes())
                    sizes.append((learner.folder / "learner.state").stat().st_size)
            report = learner.check()
            items, room = learner.replay
    late = np.array(resident[len(resident) // 5 :], np.float64)
    growth = float(np.polyfit(np.arange(len(late)), late, 1)[0] * (len(late) - 1))
    result = {
        "what": f"{args.experiences:,} experiences of {IMAGES} images, one learner with a tail",
        "seed": SEED,
        "experiences": args.experiences,
        "counted": report["experiences"],
        "forgotten": forgotten,
        "taken_back": taken_back,
        "damaged": report["damaged"],
        "replay": [items, room],
        "growth_bytes": growth,
        "flat": growth < FLAT_BYTES and len(set(sizes)) == 1,
        "file_bytes": sorted(set(sizes)),
        "resident_bytes": resident,
    }
    record(args.output, result)
    print({key: value for key, value in result.items() if key != "resident_bytes"})
    return 0 if result["flat"] and report["damaged"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
