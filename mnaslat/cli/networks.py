"""What a command may be given as a network, as something that predictors take."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnaslat.cli.options import read_architecture, usage
from mnaslat.errors import UnsupportedOperation

if TYPE_CHECKING:
    from mnaslat.graph import Precision
    from mnaslat.predictors.base import Network
    from mnaslat.space import SearchSpace
    from mnaslat.torch_translation import Unknown

_DEFAULT_RESOLUTION = 224


def read_network(
    text: str,
    space: "SearchSpace",
    resolution: int | None,
    *,
    precision: "Precision" = "fp32",
    unknown: "Unknown" = "error",
) -> "Network":
    """A network by name, tokens or JSON file, from a .tflite file, or made by MODULE:FUNCTION.

    Only the last runs code of the user's. Its module sees an RGB image of ``resolution`` pixels.

    Raises:
        MnaslatError: If a file or a module cannot be understood as a network.
    """
    if not names_code(text):
        return read_stored_network(text, space, resolution, unknown=unknown)
    from mnaslat.torch_import import graph_from_torch

    pixels = resolution or _DEFAULT_RESOLUTION
    module = _made_by(text)
    try:
        return graph_from_torch(
            module, (1, 3, pixels, pixels), precision=precision, unknown=unknown
        )
    except UnsupportedOperation as error:
        raise _with_option(error) from None


def read_stored_network(
    text: str, space: "SearchSpace", resolution: int | None, *, unknown: "Unknown" = "error"
) -> "Network":
    """What ``read_network`` reads, but MODULE:FUNCTION: whatever stands there, no code is run.

    Raises:
        MnaslatError: If a .tflite file cannot be understood as a network.
    """
    if not text.endswith(".tflite"):
        return read_architecture(text, space, resolution)
    from mnaslat.tflite_import import graph_from_tflite

    with usage("MODEL"):
        if not Path(text).is_file():
            raise ValueError(f"There is no file {text}.")
        try:
            return graph_from_tflite(text, unknown=unknown)
        except UnsupportedOperation as error:
            raise _with_option(error) from None


def names_code(text: str) -> bool:
    """Whether a text is MODULE:FUNCTION."""
    module, colon, function = text.partition(":")
    return bool(colon) and function.isidentifier() and module.replace(".", "").isidentifier()


def _made_by(text: str) -> Any:
    from torch import nn

    module_name, _, function_name = text.partition(":")
    with usage("MODEL"):
        try:
            function = getattr(importlib.import_module(module_name), function_name, None)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"Cannot import {module_name!r}: {error}. Is it installed, or on PYTHONPATH?"
            ) from None
        if not callable(function):
            raise ValueError(f"Module {module_name} has no function {function_name!r}.")
        module = function()
        if not isinstance(module, nn.Module):
            raise ValueError(f"{text} returned a {type(module).__name__}, not a torch module.")
    return module


def _with_option(error: UnsupportedOperation) -> UnsupportedOperation:
    """The error, telling a user of the command line what one of the library is told."""
    return UnsupportedOperation(str(error).replace('unknown="estimate"', "--unknown estimate"))
