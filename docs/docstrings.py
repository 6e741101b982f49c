"""Prepares our docstrings for mkdocstrings, which knows neither ``Example:`` nor roles, and readers no fixture."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:mod|class|func|meth|attr):`~?([\w.]+)`")
_FOLDER = re.compile(r'^( *)>>> (\w+ = .*)getfixture\("tmp_path"\)(?: / ("[^"]+"))?', re.MULTILINE)


class Examples(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            text = _FOLDER.sub(_in_the_working_folder, text)
            text = text.replace("](images/", "](/images/")  # from docs, whichever page shows it
            obj.docstring.value = _ROLE.sub(lambda role: _link(role[1], obj), text)


def _in_the_working_folder(example: re.Match[str]) -> str:
    indent, before, name = example.groups()
    return f"{indent}>>> from pathlib import Path\n{indent}>>> {before}Path({name or ''})"


def _link(name: str, obj: griffe.Object) -> str:
    """A link where the target is on the site, else the name alone."""
    try:
        path = obj.resolve(name)
    except griffe.NameResolutionError:
        path = name
    return f'<autoref optional identifier="{path}"><code>{name.rsplit(".", 1)[-1]}</code></autoref>'
