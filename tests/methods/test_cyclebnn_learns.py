"""CycleBNN on the real digits, in a plain PyTorch loop."""

from collections.abc import Callable

import pytest

from onebit.methods import CycleBNN
from tests.methods.digits import accuracy_after


@pytest.mark.slow
@pytest.mark.learning
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("scaling", ["released", "consistent"])
def test_learns_the_digits(scaling: str, seed: int, record_property: Callable[[str, object], None]) -> None:
    accuracy = accuracy_after(CycleBNN(scaling=scaling), seed)
    record_property("top1", accuracy)
    assert accuracy > 0.8
