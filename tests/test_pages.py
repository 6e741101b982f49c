"""What the README and the pages show: Python runs as printed, and each command line is one that the commands take."""

import ast
import inspect
import pkgutil
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from onebit import cli, methods, models
from onebit.data import create
from onebit.errors import OnebitError

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


@pytest.fixture
def place(tmp_path: Path, digits_model: Path, digit_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the examples name."""
    for name in ("digits.obn", "m.obn"):
        (tmp_path / name).symlink_to(digits_model)
    for name in ("photo.png", "photo.jpg", "a.png", "b.png", "c.png"):
        Image.open(digit_folder / "7" / "0.png").save(tmp_path / name)
    (tmp_path / "pets").symlink_to(digit_folder)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def what_a_reader_has() -> dict[str, Any]:
    """Names that a page takes for granted: a network, a method, a batch and a loop of one's own."""
    net = models.create("resnet20_cifar")
    return {
        "torch": torch,
        "net": net,
        "method": methods.CycleBNN(),
        "x": torch.zeros(1, 3, 32, 32),
        "images": torch.randn(2, 3, 32, 32),
        "labels": torch.tensor([0, 1]),
        "criterion": torch.nn.CrossEntropyLoss(),
        "total": 1,
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page: Path, place: Path) -> None:
    names = what_a_reader_has()
    for number, code in enumerate(blocks(page, "python")):
        if "cifar10" in code and "DataModule" in code:
            try:
                create("cifar10").folder()
            except OnebitError as missing:
                pytest.skip(str(missing))
        (place / "m.obn").unlink(missing_ok=True)
        if "export" not in code:
            (place / "m.obn").symlink_to((place / "digits.obn").resolve())
        exec(compile(code, f"{page.name}, block {number}", "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_exports_with_real_images(page: Path) -> None:
    """Ranges and checks come from the images of an export, so no example may give it zeros or noise."""
    for code in blocks(page, "python"):
        made_up = {name for name in re.findall(r"^(\w+) = torch\.(?:zeros|ones|rand|randn)\(", code, re.MULTILINE)}
        for call in ast.walk(ast.parse(code)):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("deploy.export", "export"):
                given = [*call.args, *(keyword.value for keyword in call.keywords)]
                names = {node.id for value in given for node in ast.walk(value) if isinstance(node, ast.Name)}
                assert not names & (made_up | {"torch"}), ast.unparse(call)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_command_lines_of_a_page_are_taken(page: Path) -> None:
    text = "\n".join(blocks(page, "")).replace("\\\n", " ")
    for line in re.findall(r"^onebit (?!\w+:)(.*)$", text, re.MULTILINE):
        name, *words = shlex.split(line, comments=True)
        cli.build_parser(name)[0].parse_args(words)


def stated_signatures() -> dict[str, ast.arguments]:
    """Every call in the text of the architecture that writes its parameters out, by the name of what is called."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCE.sub("", text))]
    found = [re.fullmatch(r"([\w.]+)\(((?:[^()]|\(\))*)\)(?: -> .*)?", span) for span in spans]
    written = [match for match in found if match and "..." not in match[2] and "[" not in match[2]]
    return {match[1]: ast.parse(f"lambda {match[2]}: 0", mode="eval").body.args for match in written}  # type: ignore[attr-defined]


def looked_up(name: str) -> Any:
    for module in ("onebit", "onebit.nn", "onebit.runtime", "onebit.models"):
        try:
            return pkgutil.resolve_name(f"{module}.{name.removeprefix('onebit.')}")
        except (ImportError, AttributeError):
            continue
    return None


def test_the_architecture_states_the_parameters_that_functions_have() -> None:
    checked = set()
    for name, stated in stated_signatures().items():
        if not callable(function := looked_up(name)):
            continue
        real = inspect.signature(function).parameters
        positional = [argument.arg for argument in stated.args]
        keywords = [argument.arg for argument in stated.kwonlyargs]
        assert [*positional, *keywords] == [key for key, value in real.items() if value.kind != value.VAR_KEYWORD], name
        assert keywords == [key for key, value in real.items() if value.kind == value.KEYWORD_ONLY], name
        defaults = [*stated.defaults, *(value for value in stated.kw_defaults if value)]
        had = [value.default for value in real.values() if value.default is not value.empty]
        assert [ast.literal_eval(value) for value in defaults] == had, name
        checked.add(name)
    assert len(checked) >= 9, checked
