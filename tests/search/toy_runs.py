"""Searches that take a fraction of a second, and what is left of them in their folders."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats, Tokens
from mnaslat.search.accuracy.source import Candidate, CandidateResult
from mnaslat.search.problem import Predictor, SearchProblem
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run.run_store import SearchStore
from mnaslat.search.settings import SearchSettings
from mnaslat.space import SearchSpace, load_space

SPACE = load_space("accel-nasbench", resolution=32, n_classes=10)
_COST_MS = np.linspace(0.1, 1.1, len(SPACE.n_choices))
_WORTH = np.linspace(1.5, 0.5, len(SPACE.n_choices))

TOY = SearchSettings(
    reward=RewardSettings.hard(16.0),
    n_samples=60,
    validate_every=1,
    validate_top=2,
    validate_uncertain=1,
    n_final_validations=6,
)


def toy_ms(tokens: Tokens) -> Floats:
    """The true latency of rows: a sum over the decisions, from 3 ms to 28.9 ms."""
    return np.asarray(3.0 + (tokens * _COST_MS).sum(1))  # a row is the same in any batch


def toy_accuracy(tokens: Tokens) -> float:
    """Higher for dearer choices, with some of the decisions worth more than others."""
    return float(0.5 + 0.4 * np.tanh((tokens * _WORTH).sum() / 30.0))


class ToyPredictor:
    """Off by a factor that measurements tell it; can be compiled."""

    def __init__(self, factor: float = 0.9) -> None:
        self.factor = factor

    def predict_ms(self, architectures: Sequence[Architecture], /) -> Floats:
        """Latencies of networks."""
        return self.rows_ms(tokens_of(architectures))

    def compile(self, space: SearchSpace, /) -> Callable[[Tokens], Floats]:
        """Latencies of rows."""
        return self.rows_ms

    def rows_ms(self, tokens: Tokens) -> Floats:
        """What it predicts either way."""
        return self.factor * toy_ms(tokens)

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: Floats, /
    ) -> "ToyPredictor":
        """With the mean factor of these."""
        return ToyPredictor(float(np.mean(measured_ms / toy_ms(tokens_of(architectures)))))


class ToyAccuracy:
    """`toy_accuracy`; remembers what it was asked, and some networks fail.

    Args:
        fails: Which.
        log: A file that is given a line per network, and outlives a killed process.
        pause_s: Slept before each answer.
    """

    description = "a sum over the decisions"
    noise = 0.0

    def __init__(
        self,
        fails: Callable[[Tokens], bool] = lambda tokens: False,
        *,
        log: Path | None = None,
        pause_s: float = 0.0,
    ) -> None:
        self.fails, self.log, self.pause_s = fails, log, pause_s
        self.asked: list[str] = []

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """One after the other."""
        for index, candidate in enumerate(candidates):
            row = np.array(candidate.tokens)
            self.asked.append(str(row.tolist()))
            _append(self.log, self.asked[-1:])
            time.sleep(self.pause_s)
            failure = "it diverged" if self.fails(row) else ""
            accuracy = None if failure else toy_accuracy(row)
            yield index, CandidateResult(accuracy=accuracy, cost_s=self.pause_s, failure=failure)


class ToyValidator:
    """Measures `toy_ms`; keeps a log as `ToyAccuracy` does, without pauses."""

    def __init__(self, *, log: Path | None = None) -> None:
        self.log = log
        self.asked: list[str] = []

    def measure(self, architectures: Sequence[Architecture], /) -> Floats:
        """Latencies of networks."""
        rows = tokens_of(architectures)
        asked = [str(row.tolist()) for row in rows]
        self.asked += asked
        _append(self.log, asked)
        return toy_ms(rows)


def toy_problem(
    accuracy: ToyAccuracy | None = None,
    validator: ToyValidator | None = None,
    predictor: Predictor | None = None,
) -> SearchProblem:
    """The toy with these parts."""
    return SearchProblem(
        space=SPACE,
        accuracy=accuracy or ToyAccuracy(),
        predictor=predictor or ToyPredictor(),
        validator=validator,
    )


def contents(folder: Path) -> dict[str, list[object]]:
    """All that a run has in its store but the times."""
    store = SearchStore(folder / "search.sqlite")
    try:
        log = [replace(record, searcher_s=0.0, seconds=0.0, n_new=0) for record in store.rounds()]
        return {
            "evaluations": list(store.evaluations()),
            "validations": list(store.validations()),
            "rounds": list(log),
        }
    finally:
        store.close()


def tokens_of(architectures: Sequence[Architecture]) -> Tokens:
    """The rows of networks, one each."""
    return np.array([SPACE.encode(architecture) for architecture in architectures])


def _append(log: Path | None, lines: Sequence[str]) -> None:
    if log is None:
        return
    with log.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
