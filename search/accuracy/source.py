"""The interface of an accuracy source: evaluates the candidates of a search."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mnaslat.architecture import Architecture
from mnaslat.arrays import Tokens
from mnaslat.errors import SearchError
from mnaslat.search.tokens import TokenKey
from mnaslat.space import SearchSpace

REASON_LENGTH = 300  # characters of what a user's function says, which may be pages


@dataclass(frozen=True)
class Candidate:
    """A network to evaluate.

    Attributes:
        tokens: Its row in the space. Other rows can stand for the same network, where a small
            width makes choices equal.
        architecture: The network.
    """

    tokens: TokenKey
    architecture: Architecture


def decoded_candidates(space: SearchSpace, rows: Tokens) -> list[Candidate]:
    """Decode rows of a space, shape ``(n, decisions)``, for asking a source outside a search."""
    return [Candidate(tuple(row.tolist()), space.decode(row)) for row in rows]


@dataclass(frozen=True, kw_only=True)
class CandidateResult:
    """The outcome of evaluating one candidate."""

    accuracy: float | None  # a fraction in [0, 1]; None: it failed
    cost_s: float = 0.0  # seconds of one worker
    failure: str = ""  # why there is no accuracy, one line

    def __post_init__(self) -> None:
        if self.accuracy is None and not self.failure:
            raise ValueError("A candidate without an accuracy needs a failure: say why.")


@runtime_checkable
class AccuracySource(Protocol):
    """Evaluates networks.

    The search keeps every result and never evaluates a network twice.
    """

    @property
    def description(self) -> str:
        """Names the accuracies and all that decides them, on one line.

        A run can be resumed only while this stays the same.
        """

    @property
    def noise(self) -> float:
        """Standard deviation of one accuracy around its mean over seeds; 0: exact, nan: unknown."""

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """Yield (index, result) for each candidate once, in any order, as soon as it is known.

        The run writes a result to the disk before it asks for the next. A candidate that fails is
        a result without accuracy. An exception ends the search: raise one only where no other
        candidate could succeed. The search may close the iterator early.
        """


@runtime_checkable
class ClosableSource(Protocol):
    """An `AccuracySource` that holds something to release, such as processes."""

    def close(self) -> None:
        """Release it; called when the search is over."""


def checked_accuracy(value: object, what: str) -> float:
    """Convert a value to an accuracy.

    Raises:
        SearchError: If it is not a number in [0, 1]; the message starts with ``what``.
    """
    accuracy = number(value, what)
    if not 0.0 <= accuracy <= 1.0:
        hint = "Divide percentages by 100" if 1.0 < accuracy <= 100.0 else "Correct it"
        raise SearchError(
            f"{what} is {accuracy}, not a fraction in [0, 1]. {hint}, then run it again."
        )
    return accuracy


def number(value: object, what: str) -> float:
    """Convert a value to a number.

    Raises:
        SearchError: If it is none; the message starts with ``what``.
    """
    try:
        return float(value)  # type: ignore[arg-type]  # what cannot be read is the point
    except Exception:  # numbers of other libraries have errors of their own
        raise SearchError(
            f"{what} is {value!r}, not a number. Give a fraction in [0, 1]."
        ) from None
