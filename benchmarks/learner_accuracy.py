"""What the learner keeps and learns on the digits, beside its float reference and naive fine-tuning of the same head.

A binary backbone is trained with CycleBNN on the digits 0 to 5; then 6 and 7, and after them 8 and 9, are taught. Every
figure is the accuracy on held-out images, all ten classes competing.

python benchmarks/learner_accuracy.py --seeds 0 1 2 3 4 --output results/digits_learner.json
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from torch import Tensor

import onebit
from onebit.continual import CWRStar, NaiveFineTuning, with_bias
from onebit.data import DataModule
from onebit.deploy import export
from onebit.training import fit, load_checkpoint, read_recipe
from onebit.training.record import write_record

RECIPE = Path(__file__).parents[1] / "recipes" / "digits_cyclebnn.yaml"
OLD, EXPERIENCES = ["0", "1", "2", "3", "4", "5"], (["6", "7"], ["8", "9"])
NAMES = OLD + [name for names in EXPERIENCES for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, nargs="+", default=[15, 30], help="lengths of the backbone's training")
    parser.add_argument("--output", default="results/digits_learner.json")
    args = parser.parse_args()
    results = {}
    for epochs in args.epochs:
        runs = []
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as folder:
                runs.append({"seed": seed, **measure(seed, epochs, Path(folder))})
            print(epochs, runs[-1])
        heads = [key for key in runs[0] if key != "seed"]
        spread = {head: {part: _spread([run[head][part] for run in runs]) for part in ("old", "new")} for head in heads}
        results[f"backbone trained {epochs} epochs"] = {"summary": spread, "runs": runs}
    setting = {"recipe": RECIPE.name, "seeds": args.seeds, "old": OLD, "experiences": EXPERIENCES}
    write_record(args.output, {**setting, "results": results})


def measure(seed: int, epochs: int, folder: Path) -> dict[str, dict[str, float]]:
    """The accuracies of one seed, of the backbone and of the learners."""
    changes = {"data.classes": OLD, "seed": seed, "trainer.max_epochs": epochs}
    fit(read_recipe(RECIPE, changes), folder / "run", progress=False)
    net, info = load_checkpoint(folder / "run" / "last.ckpt")
    old, new = _digits(OLD), _digits(NAMES[len(OLD) :])
    export(net, folder / "m.obn", old.train, classes=OLD, samples=info["samples"], mean=info["mean"], std=info["std"])
    model = onebit.load(folder / "m.obn")

    def features(images: Tensor) -> Tensor:
        return with_bias(torch.from_numpy(model(images.numpy(), output="features")))

    dense = net.get_submodule("head")
    rows = torch.cat([dense.get_parameter("weight"), dense.get_parameter("bias")[:, None]], dim=1).detach()
    rows = torch.cat([rows, rows.new_zeros(len(NAMES) - len(OLD), rows.shape[1])])
    past = torch.tensor(info["samples"] + [0] * (len(NAMES) - len(OLD)))
    heads = {"cwr_star_float": CWRStar(rows, past, seed=seed), "naive_float": NaiveFineTuning(rows, past, seed=seed)}
    with onebit.Learner.create(folder / "store", model, seed=seed) as learner:
        known = len(OLD)
        for names in EXPERIENCES:
            experience = _digits(names)
            learner.teach(experience.train.numpy(), [names[label] for label in experience.train_labels.tolist()])
            for head in heads.values():
                head.learn(features(experience.train), experience.train_labels + known)
            known += len(names)
        assert list(learner.classes) == NAMES
        predictors = {
            "cwr_star_integers": lambda images: torch.from_numpy(learner.scores(images.numpy()).argmax(axis=1))
        }
        predictors |= {name: lambda images, head=head: head.predict(features(images)) for name, head in heads.items()}
        return {
            name: {
                "old": _share(predict(old.test), old.test_labels),
                "new": _share(predict(new.test), new.test_labels + len(OLD)),
            }
            for name, predict in predictors.items()
        }


class _digits:
    """Some classes of the digits, normalised; labels from 0."""

    def __init__(self, names: list[str]) -> None:
        data = DataModule("digits", classes=list(names))
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.mean, data.std))
        (images, self.train_labels), (test, self.test_labels) = data.train_split, data.test_split
        self.train, self.test = (images / 255 - mean) / std, (test / 255 - mean) / std


def _share(predicted: Tensor, labels: Tensor) -> float:
    return float((predicted == labels).double().mean())


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "deviation": statistics.stdev(values), "least": min(values)}


if __name__ == "__main__":
    main()
