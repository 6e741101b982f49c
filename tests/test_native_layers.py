"""The folders of the engine include one another downwards only."""

import re
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "native" / "src"
LAYERS = (  # bottom first
    {"base"},
    {"integer"},
    {"kernels"},
    {"format", "gradient", "run", "store"},
    {"graph", "learner", "training"},
    {"capi"},
)


def test_a_folder_includes_only_itself_and_those_below() -> None:
    level = {folder: i for i, layer in enumerate(LAYERS) for folder in layer}
    assert {path.name for path in SOURCES.iterdir()} == set(level)
    upwards = [
        f"{path.relative_to(SOURCES)} includes {target}/{file}"
        for path in SOURCES.rglob("*")
        if path.suffix in (".cpp", ".h")
        for target, file in re.findall(r'^#include "(\w+)/(.*)"', path.read_text(), re.MULTILINE)
        if target != "onebit"
        for own in [path.relative_to(SOURCES).parts[0]]
        if target != own and level[target] >= level[own]
    ]
    assert not upwards
