"""Where a search gets its accuracies from."""

import csv
import hashlib
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnaslat.architecture import Architecture
from mnaslat.errors import SearchError
from mnaslat.space import SearchSpace

Floats = NDArray[np.float64]


class AccuracySource(Protocol):
    """Anything that says how accurate networks are.

    The search keeps every answer and never asks twice for the same network.
    """

    @property
    def description(self) -> str:
        """What the accuracies are and all that decides them, on one line.

        A run is only gone on with while this stays the same.
        """

    def evaluate(self, architectures: Sequence[Architecture]) -> Floats:
        """Accuracies as fractions in [0, 1], shape ``(len(architectures),)``."""


def checked_accuracy(value: object, what: str) -> float:
    """A value that is an accuracy.

    Raises:
        SearchError: If it is not a number in [0, 1]; the message starts with ``what``.
    """
    try:
        accuracy = float(value)  # type: ignore[arg-type]  # what cannot be read is the point
    except (TypeError, ValueError):
        raise SearchError(
            f"{what} is {value!r}, not a number. Give a fraction in [0, 1]."
        ) from None
    if not 0.0 <= accuracy <= 1.0:
        hint = " Divide percentages by 100." if 1.0 < accuracy <= 100.0 else ""
        raise SearchError(f"{what} is {accuracy}, not a fraction in [0, 1].{hint}")
    return accuracy


class TableAccuracy:
    """Accuracies read from a CSV file with the columns ``tokens`` and ``accuracy``.

    ``tokens`` are comma-separated whole numbers, quoted (``"0,1,3"``), one per decision of the
    space; other columns are ignored. A network that is not in the file is an error.

    Raises:
        SearchError: If the file cannot be read, lacks a column, has a row that is no point of the
            space, holds a network twice or an accuracy outside [0, 1].
    """

    def __init__(self, path: Path, space: SearchSpace) -> None:
        self._path, self._space = path, space
        try:
            content = path.read_bytes()
            rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines(), strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SearchError(f"Cannot read accuracies from {path}: {error}.") from error
        self._digest = hashlib.sha256(content).hexdigest()[:16]
        self._accuracy: dict[Architecture, float] = {}
        for number, row in enumerate(rows, start=2):  # line 1 is the header
            self._add(f"{path}, row {number}", row)
        if not rows:
            raise SearchError(f"{path} has no rows. Expected the columns tokens,accuracy.")

    def _add(self, where: str, row: dict[str, str]) -> None:
        tokens, accuracy = row.get("tokens"), row.get("accuracy")
        if tokens is None or accuracy is None:
            raise SearchError(
                f"{where}: expected the columns tokens and accuracy. Quote the tokens, as in "
                '"0,1,3".'
            )
        try:
            architecture = self._space.decode([int(token) for token in tokens.split(",")])
        except ValueError as error:
            raise SearchError(f"{where}: tokens {tokens!r}: {error}") from None
        # Other tokens can stand for the same network where a small width makes choices equal.
        if architecture in self._accuracy:
            raise SearchError(f"{where}: the network {tokens} is in the file twice. Keep one row.")
        self._accuracy[architecture] = checked_accuracy(accuracy, f"{where}: accuracy")

    @property
    def description(self) -> str:
        """The file's name and content hash."""
        return f"table {self._path.name} sha256:{self._digest}"

    def evaluate(self, architectures: Sequence[Architecture]) -> Floats:
        """Accuracies as they stand in the file.

        Raises:
            SearchError: If a network is not in the file.
        """
        return np.array([self._look_up(architecture) for architecture in architectures])

    def _look_up(self, architecture: Architecture) -> float:
        if architecture not in self._accuracy:
            tokens = ",".join(map(str, self._space.encode(architecture)))
            raise SearchError(
                f"{self._path} has no accuracy for the network {tokens}. Add the row, or use "
                "another accuracy source."
            )
        return self._accuracy[architecture]


class FunctionAccuracy:
    """Accuracies from a Python function of the user: ``function(architecture) -> float``.

    Args:
        name: ``module:function``; the module is imported, so name only code you trust.

    Raises:
        SearchError: If there is no such module or function.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        module_name, _, function_name = name.partition(":")
        try:
            function = getattr(importlib.import_module(module_name), function_name, None)
        except ModuleNotFoundError as error:
            raise SearchError(
                f"Cannot import {module_name!r} for the accuracy {name!r}: {error}. Is it "
                "installed, or on PYTHONPATH?"
            ) from error
        if not callable(function):
            raise SearchError(f"Module {module_name} has no function {function_name!r}.")
        self._function: Callable[[Architecture], float] = function

    @property
    def description(self) -> str:
        """The function's name; what it computes is not known to the search."""
        return f"function {self._name}"

    def evaluate(self, architectures: Sequence[Architecture]) -> Floats:
        """What the function returns for each network.

        Raises:
            SearchError: If it returns something that is not a fraction in [0, 1].
        """
        return np.array(
            [
                checked_accuracy(self._call(architecture), f"{self._name}'s accuracy")
                for architecture in architectures
            ]
        )

    def _call(self, architecture: Architecture) -> float:
        try:
            return self._function(architecture)
        except Exception as error:  # whatever the user's code raises
            raise SearchError(
                f"The accuracy function {self._name} raised {type(error).__name__}: {error}. It is "
                "called with one Architecture and must return a fraction in [0, 1]."
            ) from error


def accuracy_source(
    text: str,
    space: SearchSpace,
    *,
    folder: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> AccuracySource:
    """The source that a user names: ``supernet``, ``table:FILE.csv`` or ``module:function``.

    Args:
        text: The name.
        space: The networks to be judged.
        folder: Where a source that has to be trained keeps its checkpoint.
        seed: Of a source that draws.
        progress: Called with (steps done, steps in all) while a source is trained.

    Raises:
        SearchError: If the source cannot be made.
    """
    kind, separator, rest = text.partition(":")
    if text == "supernet":
        from mnaslat.data.images import load_digits_images
        from mnaslat.search.supernet import SupernetAccuracy, SupernetSettings

        settings = SupernetSettings(seed=seed)
        images = load_digits_images(settings.resolution, seed=0)
        return SupernetAccuracy(space, images, settings, folder=folder, progress=progress)
    if kind == "table" and rest:
        return TableAccuracy(Path(rest), space)
    if separator and kind and rest:
        return FunctionAccuracy(text)
    raise SearchError(
        f"No accuracy source {text!r}. Expected supernet, table:FILE.csv or module:function."
    )
