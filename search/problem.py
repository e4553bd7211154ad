"""What a search is given: networks, their accuracy, their latency, and who can measure it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats, Tokens
from mnaslat.search.accuracy.source import AccuracySource
from mnaslat.space import SearchSpace


class Predictor(Protocol):
    """Predicts latencies, and can learn from measured ones."""

    def predict_ms(self, architectures: Sequence[Architecture], /) -> Floats:
        """Latency in milliseconds, shape ``(len(architectures),)``."""

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: Floats, /
    ) -> "Predictor":
        """A new predictor that also agrees with these measurements as well as it can.

        The search always asks the predictor that it was given, with all measurements of the run,
        so the result must depend on them alone.
        """


@runtime_checkable
class CompilingPredictor(Protocol):
    """A predictor that can also be compiled for a space: the search then asks the compiled one."""

    def compile(self, space: SearchSpace, /) -> Callable[[Tokens], Floats]:
        """A function of tokens, shape ``(n, decisions)``, to milliseconds, shape ``(n,)``.

        Equal to ``predict_ms`` of the decoded rows but for rounding.

        Raises:
            ValueError: If the space does not allow it.
        """


@runtime_checkable
class IntervalPredictor(Protocol):
    """A predictor that also says how wrong it may be."""

    def predict_interval_ms(
        self, architectures: Sequence[Architecture], coverage: float, /
    ) -> tuple[Floats, Floats]:
        """Bounds that hold the measured latency of ``coverage`` of networks, two of shape ``(n,)``.

        Raises:
            ValueError: If it cannot say.
        """


class Validator(Protocol):
    """Measures networks on the device."""

    def measure(self, architectures: Sequence[Architecture], /) -> Floats:
        """Latency in milliseconds, shape ``(len(architectures),)``.

        Called with a handful of networks at once, so that they can be measured in turns.
        """


@dataclass(frozen=True, kw_only=True)
class SearchProblem:
    """Everything that a search needs to know about its task."""

    space: SearchSpace
    accuracy: AccuracySource
    predictor: Predictor
    validator: Validator | None = None  # None: the result rests on predictions alone
