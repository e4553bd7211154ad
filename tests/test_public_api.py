"""The public names are those that ``docs/api.md`` lists, with their parameters."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
PACKAGES = ("mnaslat", "mnaslat.predictors", "mnaslat.search")
REST = ("mnaslat.data", "mnaslat.profiling")  # named in the last part


def _parts() -> dict[str, str]:
    """The text below each heading of the second level, by heading."""
    _, *parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    return {part.partition("\n")[0].strip("`"): part.partition("\n")[2] for part in parts}


def _rows(package: str) -> list[tuple[str, str]]:
    """Name and parameters of each row of a package's tables."""
    cells = re.findall(r"^\| `([^`]+)` \|", _parts()[package], re.MULTILINE)
    return [(cell.partition("(")[0], cell.partition("(")[2].rstrip(")")) for cell in cells]


def _objects() -> list[Any]:
    return [
        pytest.param(package, name, parameters, id=f"{package}.{name}")
        for package in PACKAGES
        for name, parameters in _rows(package)
        if parameters
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_lists_each_public_name_once(package: str) -> None:
    listed = [name for name, _ in _rows(package)]
    assert sorted(listed) == sorted(importlib.import_module(package).__all__)


@pytest.mark.parametrize("package", REST)
def test_the_other_packages_names_are_named(package: str) -> None:
    named = set(re.findall(r"`(\w+)`", _parts()["Other packages"]))
    assert set(importlib.import_module(package).__all__) <= named


@pytest.mark.parametrize(("package", "name", "parameters"), _objects())
def test_the_page_shows_parameters_that_there_are(package: str, name: str, parameters: str) -> None:
    known = inspect.signature(getattr(importlib.import_module(package), name)).parameters
    positional = True
    for text in re.sub(r"\([^)]*\)", "", parameters).split(","):
        word = text.partition("=")[0].strip()
        if word == "*":
            positional = False
        elif word != "...":
            kind = known[word].kind
            assert positional == (kind is not inspect.Parameter.KEYWORD_ONLY), word


@pytest.mark.parametrize("package", (*PACKAGES, *REST))
def test_public_names_are_described_and_known_to_dir(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        value = getattr(module, name)
        assert isinstance(value, str) or inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = module.nonsense
