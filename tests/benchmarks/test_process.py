"""An engine's process: it answers, it stands still when it is not its turn, and its failure is one clear line."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from peers.process import WORKER, Engine, prepare

from onebit.errors import OnebitError

ENGINE = """
import numpy as np
from worker import Setting

def versions():
    print("chatter on stdout harms nobody")
    return {"engine": "1.0"}

def prepare(folder):
    np.save(folder / "reference.npy", np.load(folder / "images.npy") * 2)

def settings(folder, threads):
    file, reference = folder / "images.npy", folder / "reference.npy"
    inputs = list(np.load(file))
    doubled = Setting("net", "float32", file, inputs, lambda x: 2 * x, reference)
    wrong = Setting("net", "int8", file, inputs, lambda x: -x, reference, how=str(threads))
    return [doubled, wrong]
"""


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    np.save(tmp_path / "images.npy", np.random.default_rng(0).standard_normal((3, 10)).astype(np.float32))
    path = tmp_path / "with_nothing.py"
    path.write_text(ENGINE)
    return path


def state(pid: int) -> str:
    """T stopped, Z ended, none gone, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_its_turns(engine: Path) -> None:
    prepare(sys.executable, engine, engine.parent)
    with Engine(sys.executable, engine, engine.parent, 2) as running:
        assert running.versions == {"engine": "1.0"}
        same, other = running.settings
        assert (same["difference"], same["same_top1"]) == (0, 3)
        assert (other["difference"], other["same_top1"], other["how"]) == (1.5, 0, "2")
        assert same["file_bytes"] == (engine.parent / "images.npy").stat().st_size
        assert len(running.times(0, min_runs=5, seconds=0, warm_up=0)) == 5
        times = running.times(1, min_runs=1, seconds=0.05, warm_up=0)
        assert sum(times[:-1]) <= 50, "it goes on after its time"
        if Path("/proc/self/stat").exists():
            for _ in range(100):
                if state(running._process.pid) == "T":
                    break
                time.sleep(0.01)
            assert state(running._process.pid) == "T", "it runs although it is not its turn"
        assert len(running.times(0, min_runs=7, seconds=0, warm_up=0)) == 7
    assert running._process.returncode is not None


@pytest.mark.skipif(sys.platform != "linux", reason="the death of the parent is told on Linux only")
def test_a_stopped_engine_does_not_outlive_who_started_it(engine: Path) -> None:
    prepare(sys.executable, engine, engine.parent)
    code = f"""
import os, signal, sys
sys.path.append({str(WORKER.parents[1])!r})
from pathlib import Path
from peers.process import Engine
engine = Engine(sys.executable, Path({str(engine)!r}), Path({str(engine.parent)!r}), 1)
print(engine._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(done.stdout)
    end = time.monotonic() + 30
    while state(pid) not in ("", "Z") and time.monotonic() < end:
        time.sleep(0.01)
    assert state(pid) in ("", "Z")


@pytest.mark.parametrize("fault", ["import nothing_of_this_name", "raise RuntimeError('no such CPU')"])
def test_a_failure_is_told(engine: Path, fault: str) -> None:
    engine.write_text(fault)
    with pytest.raises(OnebitError, match=r"with_nothing.py ended: .*(nothing_of_this_name|no such CPU)"):
        Engine(sys.executable, engine, engine.parent, 1)
    with pytest.raises(OnebitError, match=r"with_nothing.py cannot prepare: "):
        prepare(sys.executable, engine, engine.parent)
