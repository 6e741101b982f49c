"""An engine's process, seen from outside: started once, stopped whenever it is not its turn."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from onebit.errors import OnebitError

WORKER = Path(__file__).with_name("worker.py")


class Engine:
    """Runs ``worker.py``. Between the calls the process is stopped (SIGSTOP), so that no thread of it spins.

    Args:
        python: the interpreter that has the engine.
        path: the engine's file.
        folder: where the networks and images lie.
        threads: threads of one run.
        environment: added to that of this process.

    Attributes:
        versions: of the engine's packages.
        settings: what it offers, as ``worker.Setting.told`` says.

    Raises:
        OnebitError: the process ended; the last lines that it wrote are the message.
    """

    def __init__(
        self, python: str, path: Path, folder: Path, threads: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self._path = path
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in __exit__
        words = [python, str(WORKER), str(path), str(folder), str(threads)]
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=_environment(threads, environment),
        )
        hello = self._read()
        self.versions: dict[str, str] = hello["versions"]
        self.settings: list[dict[str, Any]] = hello["settings"]
        self._process.send_signal(signal.SIGSTOP)

    def times(self, setting: int, min_runs: int, seconds: float, warm_up: float) -> list[float]:
        """Milliseconds of each run of one setting, after a warm-up (see ``worker.Setting.times``)."""
        self._process.send_signal(signal.SIGCONT)
        assert self._process.stdin is not None
        request = {"setting": setting, "min_runs": min_runs, "seconds": seconds, "warm_up": warm_up}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        times: list[float] = self._read()
        self._process.send_signal(signal.SIGSTOP)
        return times

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            said = self._log.read().splitlines()[-3:]
            raise OnebitError(f"{self._path.name} ended: {' / '.join(said)}", hint="run make bench, which installs it")
        return json.loads(line)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            assert stream is not None
            stream.close()


def prepare(python: str, path: Path, folder: Path) -> None:
    """Has an engine make the files that it needs."""
    words = [python, str(WORKER), str(path), str(folder), "1", "--prepare"]
    done = subprocess.run(words, capture_output=True, text=True, env=_environment(1, None))
    if done.returncode:
        raise OnebitError(f"{path.name} cannot prepare: {' / '.join(done.stderr.splitlines()[-3:])}")


def _environment(threads: int, more: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), **(more or {})}
