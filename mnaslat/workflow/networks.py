"""Reads networks by name, tokens, file or function, and writes them as files."""

import json
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnaslat import zoo
from mnaslat.architecture import Architecture
from mnaslat.errors import ArgumentError, UnsupportedOperation
from mnaslat.files import read_text, replace_file
from mnaslat.graph import Precision
from mnaslat.space import SearchSpace, load_space
from mnaslat.user_code import call_user_code, names_user_code
from mnaslat.workflow.arguments import check_arguments, writing
from mnaslat.workflow.progress import naming

if TYPE_CHECKING:
    from mnaslat.graph.importing import Unknown
    from mnaslat.predictors.base import Network

_DEFAULT_RESOLUTION = 224
_MAX_ARCHITECTURE_BYTES = 2**20
FORMATS = ("tflite", "torch")


def read_network(
    text: str | PathLike[str],
    space: SearchSpace | None = None,
    *,
    resolution: int | None = None,
    precision: Precision = "fp32",
    unknown: "Unknown" = "error",
) -> "Network":
    """Read a network by name, tokens or JSON file, from a .tflite file, or made by a function.

    Only the last, ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``, runs code of the user's. Its module
    is given an RGB image of ``resolution`` pixels.

    Args:
        text: What to read.
        space: Of tokens; the space ``mnasnet`` if left out.
        resolution: Pixels of the square image; the network's own if left out.
        precision: Of a network that a function makes.
        unknown: ``error``, or ``estimate`` to price operations without a meaning here by the
            elements that they move.

    Raises:
        ValueError: If there is no such network, file or function.
        MnaslatError: If a file or a module cannot be understood as a network.
    """
    text = str(text)
    if text.endswith(".tflite") and resolution is not None:
        raise ArgumentError(
            "resolution", f"The size of the image stands in {text} itself: leave this out."
        )
    if not names_user_code(text):
        return read_stored_network(text, space, resolution=resolution, unknown=unknown)
    from mnaslat.torch_import import graph_from_torch

    pixels = resolution or _DEFAULT_RESOLUTION
    with naming("model"):
        module = _made_by(text)
    try:
        return graph_from_torch(
            module, (1, 3, pixels, pixels), precision=precision, unknown=unknown
        )
    except UnsupportedOperation as error:
        raise _with_option(error) from None


def read_stored_network(
    text: str,
    space: SearchSpace | None = None,
    *,
    resolution: int | None = None,
    unknown: "Unknown" = "error",
) -> "Network":
    """Read what ``read_network`` reads, but never run code.

    Raises:
        ValueError: If there is no such network or file.
        MnaslatError: If a .tflite file cannot be understood as a network.
    """
    if not text.endswith(".tflite"):
        return read_architecture(text, space, resolution=resolution)
    from mnaslat.tflite import graph_from_tflite

    with naming("model"):
        if not Path(text).is_file():
            raise ValueError(f"There is no file {text}.")
        try:
            return graph_from_tflite(text, unknown=unknown)
        except UnsupportedOperation as error:
            raise _with_option(error) from None


def read_architecture(
    text: str, space: SearchSpace | None = None, *, resolution: int | None = None
) -> Architecture:
    """Read an architecture by name, by comma-separated tokens of a space, or from a JSON file.

    Raises:
        ValueError: If there is none.
    """
    with naming("model"):
        if text.endswith(".json"):
            architecture = _read_architecture_file(Path(text))
        elif text.replace(",", "").replace(" ", "").isdigit() and "," in text:
            space = space or load_space("mnasnet")
            architecture = space.decode(np.array([int(token) for token in text.split(",")]))
        else:
            architecture = zoo.load_network(text)
    return architecture if resolution is None else replace(architecture, resolution=resolution)


def _read_architecture_file(path: Path) -> Architecture:
    text = read_text(path, _MAX_ARCHITECTURE_BYTES)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON.") from None
    if isinstance(data, dict):
        data = data.get("architecture", data)  # as `mnaslat model --json` prints it
    if not isinstance(data, dict):
        raise ValueError(f"{path} does not hold an architecture.")
    return Architecture.from_json(data)


def export_network(
    architecture: Architecture, path: str | PathLike[str], *, format: str = "tflite", seed: int = 0
) -> int:
    """Write a network with freshly initialised weights; returns the number of bytes.

    Args:
        architecture: Of the network.
        path: Of the file; its folder is made if it is not there.
        format: ``tflite``, or ``torch`` for a state dict.
        seed: Of the weights.

    Raises:
        ValueError: If the format is not known or the network cannot be built.
        MnaslatError: If the file cannot be written.
    """
    check_arguments(architecture=architecture, seed=seed)
    from mnaslat.search.run.artifacts import random_network, torch_bytes  # they load torch
    from mnaslat.tflite import write_tflite

    if format not in FORMATS:
        raise ArgumentError("format", f"{format!r} is not a format; tflite or torch.")
    with naming("model"):
        network = random_network(architecture, seed).eval()
    if format == "tflite":
        content = write_tflite(network.graph, network.folded_weights())
    else:
        content = torch_bytes(architecture, network)
    with writing(path) as place:
        replace_file(place, content)
    return len(content)


def _made_by(text: str) -> Any:
    """Make the torch module that a function of the user returns."""
    from torch import nn

    module = call_user_code(text)
    if not isinstance(module, nn.Module):
        raise ValueError(f"{text} returned a {type(module).__name__}, not a torch module.")
    return module


def _with_option(error: UnsupportedOperation) -> UnsupportedOperation:
    """Return the error with the names of options in place of arguments."""
    text = str(error).replace('unknown="estimate"', "--unknown estimate")
    if error.__cause__ is not None:  # the module itself raised it
        text += (
            ". It was given one RGB image of --resolution (224) pixels; for another input, wrap it "
            "in a module that makes that of an RGB image, or call mnaslat.graph_from_torch."
        )
    return UnsupportedOperation(text)
