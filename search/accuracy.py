"""Where a search gets its accuracies from."""

import importlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from mnaslat.architecture import Architecture
from mnaslat.errors import SearchError
from mnaslat.space import SearchSpace

_REASON_LENGTH = 300  # characters of what a user's function says, which may be pages


@dataclass(frozen=True, kw_only=True)
class ChildResult:
    """What evaluating one child (a sampled network) gave."""

    accuracy: float | None  # a fraction in [0, 1]; None: it failed
    cost_s: float = 0.0  # what it took, seconds of one worker
    failure: str = ""  # why there is no accuracy, one line

    def __post_init__(self) -> None:
        if self.accuracy is None and not self.failure:
            raise ValueError("A child without an accuracy needs a failure: say why.")


class AccuracySource(Protocol):
    """Anything that says how accurate networks are.

    The search keeps every answer and never asks twice for the same network.
    """

    @property
    def description(self) -> str:
        """What the accuracies are and all that decides them, on one line.

        A run is only gone on with while this stays the same.
        """

    @property
    def noise(self) -> float:
        """Standard deviation of one accuracy around its mean over seeds; 0: exact, nan: unknown."""

    def evaluate(
        self, architectures: Sequence[Architecture], /
    ) -> Iterator[tuple[int, ChildResult]]:
        """Answers as (index, result), each network once, in any order.

        Each is given as soon as it is known: the run has it on the disk before it asks for the
        next. A child that fails is a result without accuracy; an exception ends the search, and is
        for what makes going on senseless. The search may close the iterator early.
        """


@runtime_checkable
class ClosableSource(Protocol):
    """What an `AccuracySource` is too where it holds what must be let go of, such as processes."""

    def close(self) -> None:
        """Let go of it; called once the search is over."""


def checked_accuracy(value: object, what: str) -> float:
    """A value that is an accuracy.

    Raises:
        SearchError: If it is not a number in [0, 1]; the message starts with ``what``.
    """
    accuracy = _number(value, what)
    if not 0.0 <= accuracy <= 1.0:
        hint = "Divide percentages by 100" if 1.0 < accuracy <= 100.0 else "Mend it"
        raise SearchError(
            f"{what} is {accuracy}, not a fraction in [0, 1]. {hint}, then run it again."
        )
    return accuracy


def _number(value: object, what: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what cannot be read is the point
    except Exception:  # numbers of other libraries have errors of their own
        raise SearchError(
            f"{what} is {value!r}, not a number. Give a fraction in [0, 1]."
        ) from None


class FunctionAccuracy:
    """Accuracies from a Python function of the user: ``function(architecture) -> float``.

    A network for which it raises, asks to exit, or returns not-a-number, has failed; the search
    goes on. What it returns is taken as exact, unless its attribute ``noise`` says how far one
    accuracy deviates (nan: it does, but how far is not known).

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
        except (Exception, SystemExit) as error:  # whatever the user's code raises
            raise SearchError(
                f"Cannot import {module_name!r} for the accuracy {name!r}: {_reason(error)}. Mend "
                "the module, and check with `python -c` that it can be imported."
            ) from error
        if not callable(function):
            raise SearchError(
                f"Module {module_name} has no function {function_name!r}; the accuracy is written "
                "module:function."
            )
        self._function: Callable[[Architecture], float] = function
        self._noise = float(getattr(function, "noise", 0.0))

    @property
    def description(self) -> str:
        """The function's name; what it computes is not known to the search."""
        return f"function {self._name}"

    @property
    def noise(self) -> float:
        """What the function says of itself; 0 if it says nothing."""
        return self._noise

    def evaluate(
        self, architectures: Sequence[Architecture], /
    ) -> Iterator[tuple[int, ChildResult]]:
        """What the function returns for each network, one after the other.

        Raises:
            SearchError: If it returns something that is not a fraction in [0, 1].
        """
        for index, architecture in enumerate(architectures):
            started_s = time.monotonic()
            accuracy, failure = self._call(architecture)
            cost_s = time.monotonic() - started_s
            yield index, ChildResult(accuracy=accuracy, cost_s=cost_s, failure=failure)

    def _call(self, architecture: Architecture) -> tuple[float | None, str]:
        try:
            value = self._function(architecture)
        except (Exception, SystemExit) as error:  # whatever the user's code raises
            return None, f"{self._name} raised {_reason(error)}"
        what = f"{self._name}'s accuracy"
        if math.isnan(_number(value, what)):
            return None, f"{self._name} returned nan"
        return checked_accuracy(value, what), ""


def _reason(error: BaseException) -> str:
    """What an error is and says, on one line."""
    says = " ".join(str(error).split())
    return f"{type(error).__name__}: {says[:_REASON_LENGTH]}" if says else type(error).__name__


KNOWN_SOURCES = (
    "proxy, proxy:IMAGES, supernet, supernet:IMAGES, table:FILE.csv, table-surrogate:FILE.csv or "
    "module:function"
)


def accuracy_source(
    text: str,
    space: SearchSpace,
    *,
    folder: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> AccuracySource:
    """The source that a user names, one of `KNOWN_SOURCES`.

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
    if kind in ("proxy", "supernet") and bool(separator) == bool(rest):
        from mnaslat.search.image_sources import image_source

        return image_source(kind, rest, space, folder=folder, seed=seed, progress=progress)
    if kind == "table" and rest:
        from mnaslat.search.table_accuracy import TableAccuracy

        return TableAccuracy(Path(rest), space)
    if kind == "table-surrogate" and rest:
        from mnaslat.search.table_surrogate import TableSurrogateAccuracy

        return TableSurrogateAccuracy(Path(rest), space, seed=seed, progress=progress)
    if separator and kind and rest:
        return FunctionAccuracy(text)
    raise SearchError(f"No accuracy source {text!r}. Expected {KNOWN_SOURCES}.")
