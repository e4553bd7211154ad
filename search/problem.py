"""Defines a search problem: networks, their accuracy, predicted and measured latency."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats, Tokens
from mnaslat.search.accuracy.source import AccuracySource
from mnaslat.search.accuracy.user_function import AccuracyFunction, FunctionAccuracy
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
    """Everything that a search needs to know about its task.

    ``accuracy`` may be a function of an Architecture: it becomes a `FunctionAccuracy`.
    """

    space: SearchSpace
    # A text is one of the option --accuracy; the search makes its source.
    accuracy: AccuracySource | AccuracyFunction | str
    predictor: Predictor
    validator: Validator | None = None  # None: the result rests on predictions alone

    def __post_init__(self) -> None:
        if not isinstance(self.accuracy, AccuracySource | str):
            object.__setattr__(self, "accuracy", FunctionAccuracy(self.accuracy))

    @property
    def source(self) -> AccuracySource:
        """The accuracy source.

        Raises:
            ValueError: If ``accuracy`` is a text: the search makes the source.
        """
        if isinstance(self.accuracy, AccuracySource):
            return self.accuracy
        raise ValueError(f"The accuracy {self.accuracy!r} is a name; no source was made of it yet.")
