"""Checks the arguments of the workflow's functions, and names the wrong one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from mnaslat.architecture import Architecture
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, MnaslatError
from mnaslat.graph import Graph, Precision
from mnaslat.predictors.network_predictor import NetworkPredictor
from mnaslat.space import SearchSpace

# What a wrong argument should have been. A key is the name of an argument.
_WANTED: dict[str, tuple[Any, str]] = {
    "space": (SearchSpace, "a SearchSpace, as load_space returns it"),
    "workspace": (Workspace, "a Workspace: mnaslat.Workspace(FOLDER)"),
    "architecture": (Architecture, "an Architecture, as load_network or space.decode returns it"),
    "predictor": (
        NetworkPredictor,
        "a predictor of whole networks, as calibrate makes it or load_predictor reads it",
    ),
}
_DEVICE_NEEDS = ("name", "configuration", "plan", "measure")


def check_arguments(**arguments: Any) -> None:
    """Check arguments by their names; None is no value and passes.

    Known names: ``space``, ``workspace``, ``architecture``, ``device``, ``predictor``,
    ``precision``, ``seed``, and any number that has to be positive.

    Raises:
        ArgumentError: If one is wrong; says what would have been right.
    """
    for name, value in arguments.items():
        if value is not None:
            _check(name, value)


def _check(name: str, value: Any) -> None:
    if name in _WANTED:
        kind, wanted = _WANTED[name]
        if not isinstance(value, kind):
            raise ArgumentError(name, f"{name} must be {wanted}, got {_shown(value)}.")
    elif name == "device":
        if not all(hasattr(value, each) for each in _DEVICE_NEEDS):
            raise ArgumentError(
                name, f"device must be a device, as open_device returns it, got {_shown(value)}."
            )
    elif name == "precision":
        if value not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise ArgumentError(name, f"precision must be one of {known}, got {value!r}.")
    elif name == "seed":
        if type(value) is not int or value < 0:
            raise ArgumentError(name, f"seed must be a whole number from 0 on, got {value!r}.")
    elif not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise ArgumentError(name, f"{name} must be a positive number, got {value!r}.")


def check_whole(name: str, value: Any, least: int) -> None:
    """Check a whole number that has a smallest value.

    Raises:
        ArgumentError: If it is none, or too small.
    """
    if type(value) is not int or value < least:
        raise ArgumentError(name, f"{name} must be a whole number from {least} on, got {value!r}.")


def check_networks(networks: Any) -> None:
    """Check that networks are given as a list, even if there is one.

    Raises:
        ArgumentError: If they are not.
    """
    if isinstance(networks, Architecture | Graph | str) or not isinstance(networks, Sequence):
        raise ArgumentError(
            "networks",
            f"networks must be a list of architectures or graphs, got {_shown(networks)}. Write "
            "[network] for a single one.",
        )


@contextmanager
def writing(path: str | PathLike[str]) -> Iterator[Path]:
    """Give a path to write a file to.

    Raises:
        MnaslatError: In place of an ``OSError``.
    """
    place = Path(path)
    try:
        yield place
    except OSError as error:
        raise MnaslatError(
            f"Cannot write {place}: {error.strerror or error}. Name a file in a folder that you "
            "can write."
        ) from None


def _shown(value: Any) -> str:
    name = type(value).__name__
    return f"the text {value[:60]!r}" if isinstance(value, str) else f"a value of type {name}"
