"""The examples in docstrings are run."""

import doctest
import importlib
import pkgutil

import pytest

import mnaslat

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(mnaslat.__path__, "mnaslat.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_examples_are_found() -> None:
    modules = [importlib.import_module(name) for name in MODULES]
    assert sum(len(doctest.DocTestFinder().find(module)) for module in modules) > 100
    assert sum(doctest.testmod(module).attempted for module in modules) > 10
