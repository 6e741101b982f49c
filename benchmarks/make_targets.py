"""How long each target of the Makefile takes: one after another on an idle machine, in this checkout.

python benchmarks/make_targets.py [TARGET ...]

`make develop` first: installing is not counted, and of the native tests what is built already is not built again. A
target that fails ends this, and nothing is written.
"""

import os
import subprocess
import sys
import time

from tables import ROOT

from onebit.training.record import write_record

PARTS = ["sanitized", "threads", "fuzz", "embedded", "windows", "cross", "wheel"]
TARGETS = ["demo", "test", "check", *(f"check-{part}" for part in PARTS)]


def main() -> None:
    targets = {}
    for target in sys.argv[1:] or TARGETS:
        begun, before = time.perf_counter(), os.times()
        subprocess.run(["make", target], cwd=ROOT, check=True)
        wall, after = time.perf_counter() - begun, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        said = ROOT / "build" / "parts" / target
        whole = not said.exists() or said.read_text("utf-8").endswith(": passed\n")
        targets[target] = {"wall_seconds": wall, "cpu_seconds": cpu, "whole": whole}
    write_record(ROOT / "results" / "make_targets.json", {"targets": targets})


if __name__ == "__main__":
    main()
