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


class FunctionAccuracy:
    """Accuracies from a Python function of the user: ``function(architecture) -> float``.

    A network for which it raises, asks to exit, or returns not-a-number, has failed; the search
    goes on. What it returns is taken as exact, unless its attribute ``noise`` says how far one
    accuracy deviates (nan: it does, but how far is not known).

    Args:
        name: ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``; it is run, so name only code you trust.

    Raises:
        SearchError: If there is no such file, module or function.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        try:
            self._function: Callable[[Architecture], float] = load_user_code(name)
        except ValueError as error:
            raise SearchError(str(error)) from error
        self._noise = float(getattr(self._function, "noise", 0.0))

    @property
    def description(self) -> str:
        """The function's name; what it computes is not known to the search."""
        return f"function {self._name}"

    @property
    def noise(self) -> float:
        """What the function says of itself; 0 if it says nothing."""
        return self._noise

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """What the function returns for each network, one after the other.

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
        except (Exception, SystemExit) as error:  # whatever the user's code raises
            return None, f"{self._name} raised {_reason(error)}"
        what = f"{self._name}'s accuracy"
        if math.isnan(number(value, what)):
            return None, f"{self._name} returned nan"
        return checked_accuracy(value, what), ""


def _reason(error: BaseException) -> str:
    """What an error is and says, on one line."""
    says = " ".join(str(error).split())
    return f"{type(error).__name__}: {says[:REASON_LENGTH]}" if says else type(error).__name__
