"""Evaluates networks with a Python function of the user."""

import math
import time
from collections.abc import Callable, Iterator, Sequence

from mnaslat.architecture import Architecture
from mnaslat.errors import SearchError
from mnaslat.search.accuracy.source import (
    REASON_LENGTH,
    Candidate,
    CandidateResult,
    checked_accuracy,
    number,
)
from mnaslat.user_code import load_user_code

AccuracyFunction = Callable[[Architecture], float]


class FunctionAccuracy:
    """Evaluates networks with a Python function of the user: ``function(architecture) -> float``.

    A network for which it raises, asks to exit, or returns not-a-number, has failed; the search
    continues. Its accuracies are taken as exact, unless its attribute ``noise`` gives their
    standard deviation (nan: unknown).

    Args:
        function: The function, or ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``; a file or module is
            run, so name only code you trust.

    Raises:
        SearchError: If there is no such file, module or function.
        TypeError: If it cannot be called.
    """

    def __init__(self, function: AccuracyFunction | str) -> None:
        if isinstance(function, str):
            self._name = function
            try:
                function = load_user_code(function)
            except ValueError as error:
                raise SearchError(str(error)) from error
        elif callable(function):
            named = function if hasattr(function, "__qualname__") else type(function)
            self._name = f"{named.__module__}:{named.__qualname__}"
        else:
            raise TypeError(
                "accuracy must be an AccuracySource, a function of an Architecture, or a text as "
                f"for --accuracy, got {type(function).__name__}."
            )
        self._function: AccuracyFunction = function
        self._noise = float(getattr(function, "noise", 0.0))

    @property
    def description(self) -> str:
        """Names the function; what it computes is not known to the search."""
        return f"function {self._name}"

    @property
    def noise(self) -> float:
        """The attribute ``noise`` of the function; 0 without one."""
        return self._noise

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """Call the function for each network, one after the other.

        Raises:
            SearchError: If it returns something that is not a fraction in [0, 1].
        """
        for index, candidate in enumerate(candidates):
            started_s = time.monotonic()
            accuracy, failure = self._call(candidate.architecture)
            cost_s = time.monotonic() - started_s
            yield index, CandidateResult(accuracy=accuracy, cost_s=cost_s, failure=failure)

    def _call(self, architecture: Architecture) -> tuple[float | None, str]:
        try:
            value = self._function(architecture)
        except (Exception, SystemExit) as error:  # any error of the user's code
            return None, f"{self._name} raised {_reason(error)}"
        what = f"{self._name}'s accuracy"
        if math.isnan(number(value, what)):
            return None, f"{self._name} returned nan"
        return checked_accuracy(value, what), ""


def _reason(error: BaseException) -> str:
    """Describe an error on one line."""
    says = " ".join(str(error).split())
    return f"{type(error).__name__}: {says[:REASON_LENGTH]}" if says else type(error).__name__
