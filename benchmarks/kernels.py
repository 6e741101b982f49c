"""Builds and runs native/kernels.cpp (useful products per second of 3x3 binary convolutions) and records its output.

python benchmarks/kernels.py --output results/kernels_binary_conv.json
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from onebit.training.record import write_record

ROOT = Path(__file__).parents[1]
SEED = 1  # of the bits, as in native/kernels.cpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="results/kernels_binary_conv.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as build:
        options = ["-DONEBIT_BENCHMARKS=ON", "-DONEBIT_TESTS=OFF"]
        subprocess.run(["cmake", "-S", ROOT / "native", "-B", build, *options], check=True)
        subprocess.run(["cmake", "--build", build, "--target", "kernels_benchmark", "--parallel"], check=True)
        done = subprocess.run([Path(build) / "kernels_benchmark"], check=True, stdout=subprocess.PIPE, text=True)
    layers = [json.loads(line) for line in done.stdout.splitlines()]
    what = "convolutions, floats out: 3x3 binary ones, and those of bytes, which begin with int8"
    write_record(args.output, {"what": what, "seed": SEED, "layers": layers})
    print(done.stdout, end="")


if __name__ == "__main__":
    main()
