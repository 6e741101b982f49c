"""The folder of a run."""

import os
import shlex
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from onebit.errors import OnebitError
from onebit.files import atomic_file
from onebit.training.checkpoint import read_checkpoint
from onebit.training.lock import Lock
from onebit.training.recipe import Recipe, parse_recipe

_MAY_DIFFER = ("trainer", "published")


class RunFolder:
    """Names the files of a run, and protects existing ones.

    Args:
        path: the folder; need not exist.

    Example:
        >>> RunFolder("runs/digits").resume_command
        'onebit train runs/digits/recipe.yaml --output runs/digits --resume runs/digits/last.ckpt'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.recipe = self.path / "recipe.yaml"
        self.best, self.last = self.path / "best.ckpt", self.path / "last.ckpt"
        self.logs = self.path / "logs"
        self.plot, self.record = self.path / "history.png", self.path / "record.json"
        self.lock = Lock(self.path / "train.lock")

    def __enter__(self) -> "RunFolder":
        """Locks the folder if it exists, on the first process of a run."""
        if self.path.is_dir() and is_first_process():
            self.lock.take()
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.lock.release()

    @property
    def resume_command(self) -> str:
        """The command that resumes from the last checkpoint."""
        words = ["onebit", "train", self.recipe, "--output", self.path, "--resume", self.last]
        return shlex.join(map(str, words))

    def check(self, recipe: Recipe, resume: str | Path | None, force: bool) -> int:
        """Checks that the run may start, and returns the step to start from.

        Raises:
            OnebitError: the folder holds a run, or ``resume`` is a checkpoint of another recipe.
        """
        if resume is not None:
            info = read_checkpoint(resume)["onebit"]
            before = parse_recipe(info["recipe"], str(resume))  # adds the keys that a recipe of an older version lacks
            _check_same(recipe.to_dict(), before.to_dict(), resume)
            if not force and self.last.exists() and not self._holds(resume):
                raise OnebitError(
                    f"{self.path} holds another run", hint="name another --output, or pass --force to replace it"
                )
            return info["step"]
        if force or not is_first_process():
            return 0
        if self.record.exists():
            raise OnebitError(
                f"{self.path} holds a finished run", hint="name another --output, or pass --force to replace it"
            )
        if self.last.exists():
            raise OnebitError(
                f"{self.path} holds an unfinished run",
                hint=f"go on with: {self.resume_command}; or pass --force to replace it",
            )
        if self.recipe.exists() and not self.logs.exists():
            raise OnebitError(f"{self.recipe} is in the way", hint="name another --output")
        return 0

    def prepare(self, recipe: Recipe, resume: str | Path | None) -> None:
        """Makes the folder, removes the files of a run that is replaced, and writes the recipe.

        If a run resumes in another folder, its best checkpoint is copied.
        """
        if not is_first_process():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self.lock.take()
        own = resume is not None and (self._holds(resume) or not self.last.exists())
        replaced = [self.record] if own else [self.record, self.plot, self.best, self.last]
        for file in replaced:
            file.unlink(missing_ok=True)
        if resume is not None and not self.best.exists() and (best := Path(resume).parent / self.best.name).exists():
            with atomic_file(self.best) as temporary:
                temporary.write_bytes(best.read_bytes())
        with atomic_file(self.recipe, force=True) as temporary:
            temporary.write_text(yaml.safe_dump(recipe.to_dict(), sort_keys=False), encoding="utf-8")

    def _holds(self, checkpoint: str | Path) -> bool:
        """Whether the checkpoint lies in this folder."""
        return Path(checkpoint).resolve().parent == self.path.resolve()


def is_first_process() -> bool:
    """Whether this process, of those that torchrun, SLURM or Lightning started, writes the files of the run."""
    if "RANK" in os.environ:  # torchrun's, over all machines
        return os.environ["RANK"] == "0"
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def _check_same(now: dict[str, Any], before: dict[str, Any], path: str | Path) -> None:
    for key, value in now.items():
        if key not in _MAY_DIFFER and before.get(key) != value:
            raise OnebitError(
                f"{path} was trained with {key} {before.get(key)}, not {value}",
                hint="resume with the same recipe; only its trainer section may change",
            )
