"""CycleBNN's scaling of the activations in evaluation: as released, consistent with training, and as in training.

Nothing of a training iteration depends on ``scaling``, so each seed is trained once, with the running scale that the
consistent form needs, and measured in three ways on the held-out digits: without the scale (``released``), with its
running mean (``consistent``), and with each sample's own scale and each batch's own range (``as in training``;
BatchNorm keeps its running statistics).

python benchmarks/activation_scaling.py --output results/activation_scaling.json
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from onebit.data import DataModule
from onebit.methods.cyclebnn import CyclicActivationSign
from onebit.training import evaluate, fit, load_checkpoint, read_recipe
from onebit.training.record import write_record

RECIPE = Path(__file__).parents[1] / "recipes" / "digits_cyclebnn.yaml"
WAYS = ("released", "consistent", "as in training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--output", default="results/activation_scaling.json")
    args = parser.parse_args()
    runs = []
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            changes = {"seed": seed, "method.init_args": {"scaling": "consistent"}}
            fit(read_recipe(RECIPE, changes), folder, progress=False)
            net, info = load_checkpoint(Path(folder) / "last.ckpt")
        data = DataModule(info["data"]["name"], info["data"]["options"])
        images = list(data.held_out(info["mean"], info["std"], info["recipe"]["data"]["batch_size"]))
        runs.append({"seed": seed, **measure(net, images)})
        print(runs[-1])
    summary = {way: _spread([run[way] for run in runs]) for way in WAYS}
    write_record(args.output, {"recipe": RECIPE.stem, "seeds": args.seeds, "summary": summary, "runs": runs})


def measure(net: nn.Module, batches: list[Any]) -> dict[str, float]:
    """Top-1 in each of the three ways; the last one moves the running ranges of ``net``.

    Args:
        net: in evaluation mode, trained with ``scaling="consistent"``.
        batches: images (N, C, H, W) and labels (N,).
    """
    quantizers = [module for module in net.modules() if isinstance(module, CyclicActivationSign)]
    classes = net.get_submodule("head").out_features
    top1 = {}
    for way in WAYS:
        for quantizer in quantizers:
            quantizer.consistent = way == "consistent"
            quantizer.train(way == "as in training")
        top1[way] = evaluate(net, batches, classes)["top1"]
    return top1


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "deviation": statistics.stdev(values)}


if __name__ == "__main__":
    main()
