"""Loads the public names of a package when they are first used."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any


def load_name(package: str, homes: Mapping[str, str], name: str) -> Any:
    """Load a public name of a package, and keep it there: for the package's ``__getattr__``.

    Args:
        package: The package's own ``__name__``.
        homes: The module that defines each public name, below the package.
        name: The name that is wanted.

    Raises:
        AttributeError: If it is no public name.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
    setattr(sys.modules[package], name, value)
    return value
