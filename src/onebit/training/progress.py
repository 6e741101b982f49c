"""Training progress on stderr: a bar for the whole run on a terminal, otherwise a line per minute."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column

from onebit.data.loader import Batch, Loader
from onebit.training.history import History


class NoProgress:
    """Shows nothing; the interface through which the loop reports its progress."""

    def step(self, step: int) -> None:
        """Reports that step number ``step`` of the run is done."""

    def validation(self, loader: Loader) -> Iterator[Batch]:
        """Returns the batches of a validation, and reports those that are done."""
        return iter(loader)


class ProgressBar(NoProgress):
    """Shows steps, the time that remains, images per second, and the latest figures of the history."""

    def __init__(self, history: History, bar: Progress) -> None:
        self.history, self.bar = history, bar
        self.task = bar.add_task("training", total=history.steps, figures="")

    def step(self, step: int) -> None:
        bits = [f"{point['precision']} bits" for point in self.history.curve[-1:]]
        self.bar.update(self.task, completed=step, figures=", ".join([*_figures(self.history, step), *bits]))

    def validation(self, loader: Loader) -> Iterator[Batch]:
        task = self.bar.add_task("validation", total=len(loader), figures="")
        for batch in loader:
            yield batch
            self.bar.advance(task)
        self.bar.remove_task(task)


class ProgressLines(NoProgress):
    """Prints a line about every ``seconds``, for logs.

    Args:
        history: history of the run.
        seconds: least time between two lines.
    """

    def __init__(self, history: History, seconds: float = 60.0) -> None:
        self.history, self.seconds = history, seconds
        self._printed = time.monotonic()

    def step(self, step: int) -> None:
        if time.monotonic() - self._printed >= self.seconds and step < self.history.steps:
            self._printed = time.monotonic()
            print(line(self.history, step), file=sys.stderr, flush=True)


@contextmanager
def show_progress(history: History, show: bool = True) -> Iterator[NoProgress]:
    """Shows the progress of a run within this context."""
    if not show:
        yield NoProgress()
    elif not sys.stderr.isatty():
        yield ProgressLines(history)
    else:
        columns = TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(table_column=Column(no_wrap=True))
        with Progress(*columns, TextColumn("{task.fields[figures]}"), console=Console(stderr=True)) as bar:
            yield ProgressBar(history, bar)


def line(history: History, step: int) -> str:
    """The state of a run, such as ``step 812 of 4000: loss 1.234, top-1 45.2 %, 1,234 images/s, 0:05:12 left``."""
    return f"step {step} of {history.steps}: {', '.join(_figures(history, step))}"


def _figures(history: History, step: int) -> list[str]:
    figures = []
    if history.curve:
        figures.append(f"loss {history.curve[-1]['loss']:.3f}")
    if history.validations:
        figures.append(f"top-1 {history.validations[-1]['top1']:.1%}")
    figures.append(f"{history.images_per_second:,.0f} images/s")
    left = history.seconds_left(step)
    if left < float("inf"):
        figures.append(f"{timedelta(seconds=round(left))} left")
    return figures
