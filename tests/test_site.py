"""The site: it builds without a warning, and every public name is on it, in words for a reader."""

import html
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import onebit

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^\s*```.*?^\s*```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
TEXTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def public_names() -> dict[str, list[str]]:
    found = pkgutil.walk_packages(onebit.__path__, "onebit.")
    packages = ["onebit", *(module.name for module in found if module.ispkg)]
    made = {package: importlib.import_module(package) for package in packages}
    named = {
        package: [name for name in getattr(module, "__all__", []) if not inspect.ismodule(getattr(module, name))]
        for package, module in made.items()
    }
    return {package: names for package, names in named.items() if names}


def defined(package: str, name: str) -> str:
    """Where a function is written: one that has the name of its module is on the page by that."""
    made = getattr(importlib.import_module(package), name)
    return f"{getattr(made, '__module__', package)}.{name}"


def own_name(package: str, name: str) -> str:
    """A class that is public by an older name too is on the page by its own."""
    return f"{package}.{getattr(getattr(importlib.import_module(package), name), '__name__', name)}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocstrings", reason="the site is built by the packages of onebit[docs]")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("package", public_names())
def test_every_public_name_is_on_the_page_of_its_package(package: str, site: Path) -> None:
    page = site / "reference" / package.removeprefix("onebit.") / "index.html"
    assert page.is_file(), f"write docs/reference/{package.removeprefix('onebit.')}.md"
    anchors = set(re.findall(r'id="([\w.]+)"', page.read_text("utf-8")))
    names = [name for name in public_names()[package] if not name.startswith("__")]
    places = {name: {f"{package}.{name}", defined(package, name), own_name(package, name)} for name in names}
    assert [name for name, ways in places.items() if not anchors & ways] == []


@pytest.mark.slow
def test_no_markup_of_sphinx_and_no_fixture_is_on_the_site(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = html.unescape(re.sub(r"<[^>]*>", "", page.read_text("utf-8")))
        assert not re.search(r":(mod|class|func|meth|attr|data|ref):`?~?\w+\.?\w*|getfixture|tmp_path", text), page


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor.startswith("onebit."):  # a name, on a page of the reference
            assert pkgutil.resolve_name(anchor)
            assert f"::: {anchor.rpartition('.')[0]}\n" in target.read_text("utf-8"), f"{page.name}: {link}"
        elif anchor:
            assert anchor in headings(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_prose_of_a_page_has_lines_of_120_characters(page: Path) -> None:
    """As the code has: tables, code and a lone link are what cannot be broken."""
    prose = [line for line in FENCE.sub("", page.read_text("utf-8")).splitlines() if not line.startswith("|")]
    assert [line for line in prose if len(line) > 120 and not LINK.fullmatch(line.strip())] == []


def headings(page: Path) -> set[str]:
    """The anchors that GitHub and mkdocs give to headings."""
    lines = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", line).strip().lower()) for line in lines}
