"""The package: one method per file, and machinery that says that it is."""

import importlib
import inspect
import pkgutil
import re

import pytest

from onebit import methods

MACHINERY = {"base", "compose", "guard", "lightning", "quantized_layers", "schedule"}
MODULES = [module.name for module in pkgutil.iter_modules(methods.__path__)]


def test_the_package_names_its_machinery() -> None:
    assert methods.__doc__ is not None
    assert set(re.findall(r"``(\w+)``", methods.__doc__)) == MACHINERY <= set(MODULES)


@pytest.mark.parametrize("name", sorted({*MODULES} - MACHINERY))
def test_a_file_holds_one_method_which_is_public(name: str) -> None:
    module = importlib.import_module(f"onebit.methods.{name}")
    own = [
        kind
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, methods.Method) and kind.__module__ == module.__name__
    ]
    assert len(own) == 1
    assert own[0].__name__ in methods.__all__
    assert "departures" in (module.__doc__ or "").lower() or name == "distillation"  # which is no paper of its own
