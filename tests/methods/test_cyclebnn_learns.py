"""CycleBNN on the real digits, in a plain PyTorch loop."""

from collections.abc import Iterator

import pytest
import torch

from onebit.methods import CycleBNN
from tests.methods.digits import accuracy_after


@pytest.fixture
def one_thread() -> Iterator[None]:
    """A small network gains nothing from threads, and loses much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("scaling", ["released", "consistent"])
def test_learns_the_digits(scaling: str) -> None:
    assert accuracy_after(CycleBNN(scaling=scaling)) > 0.9
