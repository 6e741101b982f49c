"""One process of benchmarks/learner.py: experiences on random images, by the base install alone, on one core.

Prints JSON: the milliseconds of each experience by part, and the most memory beyond that of the loaded model, which has
run: until the experience is committed (the learner is made in it too), and while it is taken back.
"""

import argparse
import json
import os
import re
import tempfile
from pathlib import Path

import numpy as np

import onebit


def resident() -> dict[str, int]:
    """Bytes of this process in memory: now, and at most since :func:`forget_peak`."""
    status = Path("/proc/self/status").read_text("ascii")
    keys = {"now": "VmRSS", "peak": "VmHWM"}
    return {
        name: 1024 * int(re.search(rf"^{key}:\s+(\d+) kB", status, re.M)[1])  # type: ignore[index]
        for name, key in keys.items()
    }


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--names", type=json.loads, required=True, help="the class of each image, as JSON")
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--options", type=json.loads, required=True, help="of Learner.teach, as JSON")
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    model = onebit.load(args.model)
    shape = (len(args.names), *model.input_shape)
    images = np.random.default_rng(0).standard_normal(shape, np.float32)
    model(images)
    before = resident()["now"]
    forget_peak()
    experiences, peaks = [], {"teach": 0, "rollback": 0}

    def note(part: str) -> None:
        peaks[part] = max(peaks[part], resident()["peak"] - before)
        forget_peak()

    with tempfile.TemporaryDirectory() as folder, onebit.Learner.create(Path(folder) / "store", model) as learner:
        for _ in range(args.rounds):
            taught = learner.teach(images, args.names, "lesson", **args.options)
            experiences.append({**taught.milliseconds, "operations": taught.operations})
            note("teach")
            learner.rollback()
            note("rollback")
        state = learner.check()["bytes"]
        items = learner.replay
    print(json.dumps({"lessons": experiences, "peak_bytes": peaks, "state_bytes": state, "replay": items}))


if __name__ == "__main__":
    main()
