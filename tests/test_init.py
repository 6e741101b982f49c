"""``import onebit``: light, with the training side behind it, or one line that says how to get it."""

import subprocess
import sys

import pytest

import onebit

TRAINING_SIDE = ("continual", "cost", "data", "deploy", "methods", "models", "nn", "quantize", "training")
NO_TORCH = "import sys; sys.modules['torch'] = None\n"


def last_line(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[-1]


@pytest.mark.slow
def test_the_training_side_is_loaded_when_it_is_used() -> None:
    code = (
        "import sys, onebit; before = 'torch' in sys.modules; layer = onebit.nn.BinaryConv2d; "
        "print(before, 'torch' in sys.modules, layer.__name__)"
    )
    assert last_line(code) == "False True BinaryConv2d"


@pytest.mark.parametrize("words", ["import onebit; onebit.{}", "import onebit.{}", "from onebit import {}"])
def test_without_torch_one_line_says_how_to_get_it(words: str) -> None:
    attempts = [words.format(name) for name in TRAINING_SIDE]
    code = (
        f"said = set()\nfor words in {attempts}:\n try: exec(words)\n"
        " except ModuleNotFoundError as problem: said.add((problem.name, str(problem)))\nprint(said)"
    )
    expected = {("torch", "onebit's training side needs torch: pip install 'onebit[train]'")}
    assert last_line(NO_TORCH + code) == str(expected)


def test_without_torch_the_device_side_works() -> None:
    assert last_line(f"{NO_TORCH}import onebit; print(onebit.load, hasattr(onebit, 'nonsense'))").endswith("False")


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        onebit.nonsense  # noqa: B018
