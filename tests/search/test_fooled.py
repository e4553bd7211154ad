"""A predictor that is wrong about one kind of op: where a search ends with validation, and without.

A network takes the sum of its ops. All are predicted as they are but depthwise 5x5 convolutions, at
0.7 of the truth, and what is measured teaches the predictor one factor for everything: it cannot
learn which op it is wrong about.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats, Tokens
from mnaslat.search.accuracy.source import Candidate, CandidateResult
from mnaslat.search.problem import SearchProblem
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run.result import SearchResult
from mnaslat.search.run.search import Search
from mnaslat.search.settings import SearchSettings
from mnaslat.space import load_space

SPACE = load_space("nas-bench-macro")  # every layer an identity, an MBConv e3 k3 or e6 k5
TARGET_MS = 12.0  # networks take from 1.6 to 29.6 ms, half of them more than 14
SETTINGS = SearchSettings(
    reward=RewardSettings.hard(TARGET_MS),
    n_samples=300,
    surrogate=False,
    validate_every=5,
)
_LAYER = np.linspace(0.8, 1.2, len(SPACE.decisions))
_PART_MS = np.array([0.2, 1.0, 1.7])  # of each choice, but for the depthwise convolution
_SMALL_MS, _LARGE_MS = 0.3, 2.0  # depthwise 3x3 and 5x5


def ops_ms(tokens: Tokens) -> tuple[Floats, Floats]:
    """Latency of all ops but one kind, and of the depthwise 5x5 convolutions, shapes ``(n,)``."""
    others = _PART_MS[tokens] + _SMALL_MS * (tokens == 1)
    return (_LAYER * others).sum(1), (_LAYER * _LARGE_MS * (tokens == 2)).sum(1)


def true_ms(tokens: Tokens) -> Floats:
    """What a network takes."""
    others, large_kernels = ops_ms(tokens)
    return others + large_kernels


class Optimist:
    """Predicts depthwise 5x5 convolutions at 0.7 of what they take; learns a factor for all."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def predict_ms(self, architectures: Sequence[Architecture], /) -> Floats:
        """Latencies of networks."""
        others, large_kernels = ops_ms(rows_of(architectures))
        return self.factor * (others + 0.7 * large_kernels)

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: Floats, /
    ) -> "Optimist":
        """With the mean factor of these."""
        return Optimist(float(np.mean(measured_ms / Optimist().predict_ms(architectures))))


class Truth:
    """Measures exactly."""

    def measure(self, architectures: Sequence[Architecture], /) -> Floats:
        """Latencies of networks."""
        return true_ms(rows_of(architectures))


class Accuracy:
    """Every layer helps, large kernels the most."""

    description = "a sum over the layers"
    noise = 0.0

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """One after the other."""
        tokens = np.array([candidate.tokens for candidate in candidates])
        worth = np.array([0.0, 1.0, 2.4])[tokens] @ _LAYER[::-1]
        for index, each in enumerate(0.5 + 0.4 * np.tanh(worth / 10.0)):
            yield index, CandidateResult(accuracy=float(each))


def rows_of(architectures: Sequence[Architecture]) -> Tokens:
    return np.array([SPACE.encode(architecture) for architecture in architectures])


def searched(folder: Path, seed: int, validator: Truth | None) -> SearchResult:
    problem = SearchProblem(
        space=SPACE, accuracy=Accuracy(), predictor=Optimist(), validator=validator
    )
    with Search(problem, replace(SETTINGS, seed=seed), folder) as search:
        return search.run()


@pytest.mark.parametrize("seed", range(3))
def test_with_validation_the_answer_is_within_5_per_cent_of_the_target(
    tmp_path: Path, seed: int
) -> None:
    winner = searched(tmp_path, seed, Truth()).winner
    assert 0.95 * TARGET_MS <= true_ms(rows_of([winner.architecture]))[0] <= TARGET_MS


@pytest.mark.parametrize("seed", range(3))
def test_without_validation_the_answer_misses_the_target(tmp_path: Path, seed: int) -> None:
    winner = searched(tmp_path, seed, None).winner
    assert winner.predicted_ms <= TARGET_MS
    assert true_ms(rows_of([winner.architecture]))[0] > 1.05 * TARGET_MS
