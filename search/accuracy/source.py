"""Where a search gets its accuracies from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mnaslat.architecture import Architecture
from mnaslat.errors import SearchError

REASON_LENGTH = 300  # characters of what a user's function says, which may be pages


@dataclass(frozen=True, kw_only=True)
class ChildResult:
    """What evaluating one child (a sampled network) gave."""

    accuracy: float | None  # a fraction in [0, 1]; None: it failed
    cost_s: float = 0.0  # what it took, seconds of one worker
    failure: str = ""  # why there is no accuracy, one line

    def __post_init__(self) -> None:
        if self.accuracy is None and not self.failure:
            raise ValueError("A child without an accuracy needs a failure: say why.")


@runtime_checkable
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
    accuracy = number(value, what)
    if not 0.0 <= accuracy <= 1.0:
        hint = "Divide percentages by 100" if 1.0 < accuracy <= 100.0 else "Mend it"
        raise SearchError(
            f"{what} is {accuracy}, not a fraction in [0, 1]. {hint}, then run it again."
        )
    return accuracy


def number(value: object, what: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what cannot be read is the point
    except Exception:  # numbers of other libraries have errors of their own
        raise SearchError(
            f"{what} is {value!r}, not a number. Give a fraction in [0, 1]."
        ) from None
