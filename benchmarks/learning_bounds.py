"""What the tests that learn measure, over seeds and instruction sets: where their bounds may lie.

A test marked ``learning`` takes its seed from pytest's ``--seed`` and records what it bounds as properties. PyTorch's
kernels add in another order on each instruction set, so a trained network is another one there, as from another seed:
the seeds are dealt over the instruction sets in turn. A bound belongs three deviations or more from the mean. A run
that was broken off goes on, at the same commit.

python benchmarks/learning_bounds.py --seeds 0 1 2 3 4 5 6 7 8 9 --output results/learning_bounds.json
python benchmarks/learning_bounds.py --output one.json -- tests/methods -k rbonn
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from onebit.training.record import provenance, write_record

ROOT = Path(__file__).parents[1]
ISAS = {"SSE41": "default", "AVX2": "avx2", "AVX512_CORE": "avx512"}  # oneDNN's name: that of PyTorch's own kernels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--isas", nargs="+", choices=ISAS, default=list(ISAS))
    parser.add_argument("--output", default="results/learning_bounds.json")
    parser.add_argument("words", nargs="*", default=["tests"], help="for pytest: which tests")
    args = parser.parse_args()
    runs = begun(Path(args.output), args.words)
    done = {run["seed"] for found in runs.values() for run in found}
    for seed in args.seeds:
        if seed in done:
            continue
        isa = args.isas[seed % len(args.isas)]
        for figure, value in measure(args.words, seed, isa).items():
            runs[figure].append({"seed": seed, "isa": isa, "value": value})
        results = {
            figure: {**summary([run["value"] for run in found]), "runs": found} for figure, found in runs.items()
        }
        write_record(args.output, {"pytest": args.words, "results": results})
    for figure, found in runs.items():
        figures = summary([run["value"] for run in found])
        print(f"{figures['mean']:8.4f} ± {figures['deviation'] or 0:.4f}  {figure}")


def begun(path: Path, words: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The runs of an earlier call for the same tests at the same commit."""
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if path.exists():
        record, now = json.loads(path.read_text("utf-8")), provenance()
        if record["pytest"] == words and record["provenance"]["commit"] == now["commit"] and not now["modified"]:
            runs.update({figure: found["runs"] for figure, found in record["results"].items()})
    return runs


def measure(words: list[str], seed: int, isa: str) -> dict[str, float]:
    """``test: property`` -> value, of the tests that came far enough to record it."""
    # torch.compile caches what it compiled under a name that does not have the instruction set in it.
    chosen = {"ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": ISAS[isa], "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    environment = {**os.environ, **chosen}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-m", "learning", f"--seed={seed}", f"--junitxml={report}", "-ojunit_family=xunit1", "-q"]
        command = [sys.executable, "-m", "pytest", *options, *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr)
        if done.returncode not in (0, 1):  # 1: a bound was broken
            raise SystemExit(f"pytest ended with {done.returncode}")
        cases = list(ElementTree.parse(report).iter("testcase"))
    return {
        f"{case.get('classname')}.{case.get('name')}: {entry.get('name')}": float(str(entry.get("value")))
        for case in cases
        for entry in case.iter("property")
    }


def summary(values: list[float]) -> dict[str, float | None]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "deviation": deviation, "least": min(values), "most": max(values)}


if __name__ == "__main__":
    main()
