"""A new instruction set is one folder of kernels and one line of a list: a copy of ``portable`` under another name is
built, found and crossed with the reference, and nothing else of the engine is touched.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAME = "plain"
CROSSED = {  # what a test prints when it crossed the set's own kernels
    "kernels_binary_conv_test": "plain blocks: those of",
    "kernels_int8_test": "plain: ",
    "kernels_own_tables_test": "plain\n" * 6,
    "kernels_registry_test": "plain\nportable\n",
    "kernels_sign_product_test": "",
}

# Its tables are all its own, and answer by its name and by ONEBIT_ISA.
OWN_TABLES = """
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "kernels/portable/tables.h"
#include "kernels/registry.h"

int main() {
  const onebit::Isa *isa = onebit::select_isa("plain"), *portable = onebit::select_isa("portable");
  if (!isa || isa != &onebit::best_isa()) return 1;
  for (const char* name : {isa->kernels().name, isa->head().name, isa->tail().name, isa->signs().name,
                           isa->training().name, isa->fused().name}) {
    std::printf("%s\\n", name);
    if (std::strcmp(name, "plain") != 0) return 2;
  }
  return portable && &portable->kernels() == &onebit::portable::kernels() ? 0 : 3;
}
"""


def output(*words: object, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def add_instruction_set(kernels: Path) -> None:
    folder = shutil.copytree(kernels / "portable", kernels / NAME)
    for file in folder.iterdir():
        file.write_text(file.read_text().replace("portable", NAME))
    names = kernels / "isas.txt"
    names.write_text(names.read_text().replace("portable\n", f"{NAME}\nportable\n"))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is not on the path")
def test_an_instruction_set_is_one_folder_and_one_line(tmp_path: Path) -> None:
    native, build = tmp_path / "native", tmp_path / "build" / NAME
    shutil.copytree(ROOT / "native", native)
    add_instruction_set(native / "src" / "kernels")
    (native / "tests" / "kernels" / "own_tables_test.cpp").write_text(OWN_TABLES)

    options = ["-DCMAKE_CXX_FLAGS=-Werror", "-DCMAKE_C_FLAGS=-Werror"]
    if shutil.which("ninja"):
        options += ["-G", "Ninja"]
    if shutil.which("ccache"):  # what other builds of these sources compiled is not compiled again
        options += [f"-DCMAKE_{language}_COMPILER_LAUNCHER=ccache" for language in ("C", "CXX")]
    cache = {"CCACHE_BASEDIR": "/", "CCACHE_NOHASHDIR": "1"}
    output("cmake", "-S", native, "-B", build, *options, **cache)
    output("cmake", "--build", build, "--target", *CROSSED, **cache)
    for test, printed in CROSSED.items():
        assert printed in output(build / test, ONEBIT_ISA=NAME, ONEBIT_TEST_DIVISOR="4")
