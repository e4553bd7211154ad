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


def _n_examples(name: str) -> int:
    found = doctest.DocTestFinder().find(importlib.import_module(name))
    return sum(len(each.examples) for each in found)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_hold(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
    assert results.attempted == _n_examples(name)


def test_examples_are_found() -> None:
    modules = [importlib.import_module(name) for name in MODULES]
    assert sum(len(doctest.DocTestFinder().find(module)) for module in modules) > 100
    assert sum(map(_n_examples, MODULES)) > 10
