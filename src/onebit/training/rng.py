"""The random number generators of the training steps."""

import random
from types import TracebackType
from typing import Any

import numpy as np
import torch

State = dict[str, Any]


class RngStream:
    """Within this context, the generators of Python, NumPy and PyTorch give a stream that nothing else draws from.

    What a loader, a validation or a logger draws outside leaves the stream unchanged, so a resumed run draws the same
    numbers as an uninterrupted one. Each process of a distributed run has a stream of its own.

    Args:
        seed: seed of the run.
        rank: rank of this process.
        device: training device; its generator belongs to the stream, beside that of the CPU.

    Attributes:
        state: state of the stream, in plain containers and tensors.

    Example:
        >>> stream = RngStream(0, 0, torch.device("cpu"))
        >>> before = stream.state
        >>> with stream:
        ...     a = torch.rand(1)
        >>> _ = torch.rand(1)
        >>> stream.state = before
        >>> with stream:
        ...     bool(torch.rand(1) == a)
        True
    """

    def __init__(self, seed: int, rank: int, device: torch.device) -> None:
        self.device = device
        mixed = int(np.random.SeedSequence((seed, rank)).generate_state(1)[0])
        random.seed(mixed)
        np.random.seed(mixed)  # noqa: NPY002  # the stream of code that uses NumPy's global generator
        torch.manual_seed(mixed)
        self.state = _capture(device)

    def __enter__(self) -> None:
        _restore(self.state, self.device)

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.state = _capture(self.device)


def _capture(device: torch.device) -> State:
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    state: State = {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _restore(state: State, device: torch.device) -> None:
    kind, keys, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
