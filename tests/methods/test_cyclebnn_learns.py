"""CycleBNN on the real digits, in a plain PyTorch loop."""

import pytest

from onebit.methods import CycleBNN
from tests.methods.digits import accuracy_after


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("scaling", ["released", "consistent"])
def test_learns_the_digits(scaling: str) -> None:
    assert accuracy_after(CycleBNN(scaling=scaling)) > 0.9
