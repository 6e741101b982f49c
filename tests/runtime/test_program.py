"""Programs answer as the model does, here and on emulated microcontrollers."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from sklearn.datasets import load_digits

import onebit
from onebit import OnebitError
from onebit.runtime import Program
from onebit.runtime.program import c_identifier
from tests.runtime.board import ARENA_BYTES, CPUS, PROGRAM_BYTES, ROOT, answers, bits, script
from tests.runtime.graphs import graphs

SLOW_DRAWS = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def board(request: pytest.FixtureRequest) -> str:
    """A core whose board is ready."""
    script("build", request.param)
    return request.param


def compiled(case, folder: Path) -> tuple[onebit.Model, Program, np.ndarray]:
    """The model of a random graph, its program for all outputs but the input, and two samples."""
    graph, rng = case
    path = folder / "m.obn"
    path.unlink(missing_ok=True)
    path.write_bytes(graph.to_bytes())
    model = onebit.load(path)
    program = Program(model, [name for value, name in graph.outputs if value != 0])
    height, width, channels = graph.values[0][1:]
    return model, program, rng.standard_normal((2, channels, height, width)).astype(np.float32)


@settings(max_examples=80, suppress_health_check=SLOW_DRAWS)
@given(case=graphs())
def test_random_programs_answer_as_their_models(case, folder):
    model, program, x = compiled(case, folder)
    expected = bits({name: model(x, name) for name in program.outputs})
    for sample, row in zip(x, expected, strict=True):
        np.testing.assert_array_equal(bits({name: y[None] for name, y in program(sample).items()})[0], row)


@pytest.mark.slow
@pytest.mark.parametrize("board", ["cortex-m0", "cortex-m7"], indirect=True)
@settings(max_examples=20, suppress_health_check=SLOW_DRAWS)
@given(case=graphs())
def test_random_programs_on_a_board(board, case, folder):
    model, program, x = compiled(case, folder)
    assume(len(program.data) <= PROGRAM_BYTES and program.arena_bytes <= ARENA_BYTES)
    expected = bits({name: model(x, name) for name in program.outputs})
    np.testing.assert_array_equal(answers(board, program, x, folder), expected)


@pytest.mark.slow
@pytest.mark.parametrize("board", CPUS, indirect=True)
def test_digits_on_a_board(board, digits_model, tmp_path):
    x = (load_digits().images[:40, None] / 16).astype(np.float32)
    model = onebit.load(digits_model)
    program = Program(model)
    expected = bits({name: model(x, name) for name in model.outputs})
    np.testing.assert_array_equal(answers(board, program, x, tmp_path), expected)


MAIN = """
int main(void) {
  static const uint8_t digits[][64] = {%s};
  if (!classifier_start()) return 1;
  for (unsigned i = 0; i < sizeof digits / sizeof *digits; ++i) {
    const int best = classify(digits[i]);
    if (best < 0) return 1;
    print(digits_classes[best]);
    print("\\n");
  }
  return 0;
}
"""


@pytest.mark.slow
def test_the_firmware_of_the_page(digits_model, tmp_path):
    """The C of docs/embedded.md, with the header that it names, names digits as the model does here."""
    script("build", "cortex-m4")
    pixels = np.round(load_digits().images[:20] * 255 / 16).astype(np.uint8)
    model = onebit.load(digits_model)
    (tmp_path / "digits.h").write_text(Program(model, ["logits"]).c_header("digits"))
    page = (ROOT / "docs" / "embedded.md").read_text("utf-8")
    (code,) = re.findall(r"^```c\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    rows = ",".join("{" + ",".join(map(str, image.ravel())) + "}" for image in pixels)
    (tmp_path / "main.c").write_text('#include "semihosting.h"\n' + code + MAIN % rows)
    board = ROOT / "native" / "embedded" / "qemu"
    build = [
        *("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-nostartfiles"),
        *("-Os", "-Wall", "-Wextra", "-Werror"),
        *("-T", board / "board.ld", "-I", board, "-I", ROOT / "native" / "include"),
        *("main.c", board / "startup.c", board / "semihosting.c"),
        *(ROOT / "build" / "embedded-cortex-m4" / "libonebit_embedded.a", "-lm", "-o", "main.elf"),
    ]
    subprocess.run(build, cwd=tmp_path, check=True)
    done = script("firmware", "cortex-m4", tmp_path / "main.elf")
    assert done.split() == [model.predict(image).label for image in pixels]


def test_refusals(digits_model):
    model = onebit.load(digits_model)
    with pytest.raises(OnebitError, match=r"no output 'boxes'.*logits, features"):
        Program(model, ["boxes"])
    with pytest.raises(OnebitError, match="must be float32"):
        Program(model)(np.zeros((1, 8, 8)))
    with pytest.raises(OnebitError, match="one sample"):
        Program(model)(np.zeros((2, 1, 8, 8), np.float32))


def test_outputs(digits_model):
    model = onebit.load(digits_model)
    assert Program(model).outputs == model.outputs
    both, one = Program(model), Program(model, ["features"])
    assert list(one.outputs) == ["features"]
    assert len(one.data) < len(both.data), "the dense layer is not in it"


def test_the_header_holds_the_program(classifier_path):
    model = onebit.load(classifier_path)
    program = Program(model)
    text = program.c_header("a*/b")
    assert text.isascii()
    assert (
        'static const char* const a__b_classes[4] = {\n    "ant",\n    "bee",\n    "[red]cat",\n    "d\\303\\266g",'
        in text
    )
    assert f"#define A__B_ARENA_BYTES {program.arena_bytes}\n" in text
    (array,) = re.findall(r"a__b_program\[\d+\] __attribute__\(\(aligned\(64\)\)\) = \{(.*?)\};", text, re.DOTALL)
    assert bytes(int(number) for number in array.replace("\n", "").split(",")[:-1]) == program.data
    (mean,) = re.findall(r"a__b_mean\[3\] = \{(.*?)\};", text)
    assert mean == "0.5f, 0.5f, 0.5f"


@pytest.mark.parametrize(
    ("name", "expected"), [("digits", "digits"), ("", "model_"), ("_x", "model__x"), ("ö", "model__")]
)
def test_identifiers(name, expected):
    assert c_identifier(name) == expected
