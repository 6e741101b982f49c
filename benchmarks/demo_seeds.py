"""The demo over several seeds: what the digits' figures are worth, as mean and spread.

python benchmarks/demo_seeds.py --seeds 0 1 2 --output results/digits_demo.json
"""

import argparse
import json
import statistics
import subprocess
import sys

from onebit.training.record import write_record

FIGURES = ("float_top1", "binary_top1", "packed_top1", "old_top1", "new_top1", "naive_old_top1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", default="results/digits_demo.json")
    args = parser.parse_args()
    runs = [_demo(seed) for seed in args.seeds]
    values = {key: [run[key] for run in runs] for key in FIGURES}
    summary = {k: {"mean": statistics.mean(v), "deviation": statistics.stdev(v)} for k, v in values.items()}
    write_record(args.output, {"command": "onebit demo --seed N --json", "summary": summary, "runs": runs})
    for key, value in summary.items():
        print(f"{key:16} {100 * value['mean']:6.2f} ± {100 * value['deviation']:.2f} %")


def _demo(seed: int) -> dict[str, object]:
    words = [sys.executable, "-m", "onebit", "demo", "--seed", str(seed), "--json"]
    return {"seed": seed, **json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)}


if __name__ == "__main__":
    main()
