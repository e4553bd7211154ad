"""What all accuracies together say of each network, and what follows from it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnaslat.arrays import Floats, Tokens
from mnaslat.search.accuracy.source import Candidate, CandidateResult
from mnaslat.search.accuracy.user_function import FunctionAccuracy
from mnaslat.search.run.candidates import (
    EvaluatedCandidate,
    choose_winner,
    front_of,
    worth_measuring,
)
from mnaslat.search.run.expected_accuracy import expected_accuracies
from mnaslat.search.run.run_store import SearchStore
from mnaslat.search.run.search import Search
from tests.search.toy_runs import (
    SPACE,
    TOY,
    ToyValidator,
    toy_accuracy,
    toy_ms,
    toy_problem,
)

NOISE = 0.03  # of accuracies between 0.5 and 0.9


def drawn(n: int, seed: int) -> tuple[Tokens, Floats, Floats]:
    """Networks, their accuracies and what one training of each gave."""
    rng = np.random.default_rng(seed)
    tokens = SPACE.sample(n, rng)
    true = np.array([toy_accuracy(row) for row in tokens])
    return tokens, true, true + NOISE * rng.standard_normal(n)


@pytest.mark.parametrize("seed", range(3))
def test_most_of_the_noise_goes(seed: int) -> None:
    tokens, true, observed = drawn(200, seed)
    expected = expected_accuracies(tokens, observed, SPACE.n_choices)
    assert np.abs(expected - true).mean() < 0.6 * np.abs(observed - true).mean()
    # The network that looks best is not as good as it looks; the estimate is not as wrong.
    lucky = int(observed.argmax())
    assert abs(expected[lucky] - true[lucky]) < abs(observed[lucky] - true[lucky])


def test_accuracies_without_noise_stay_as_they_are() -> None:
    tokens, true, _ = drawn(200, 0)
    expected = expected_accuracies(tokens, true, SPACE.n_choices)
    assert np.abs(expected - true).max() < 0.005


def test_a_few_accuracies_are_taken_as_they_are() -> None:
    tokens, _, observed = drawn(19, 0)
    assert np.array_equal(expected_accuracies(tokens, observed, SPACE.n_choices), observed)


def test_it_is_the_same_in_every_process_and_for_equal_accuracies() -> None:
    tokens, _, observed = drawn(60, 4)
    once, again = (expected_accuracies(tokens, observed, SPACE.n_choices) for _ in range(2))
    assert np.array_equal(once, again)
    equal = expected_accuracies(tokens, np.full(60, 0.7), SPACE.n_choices)
    assert equal == pytest.approx(0.7, abs=1e-6)


def network(
    name: str, accuracy: float, expected: float, ms: float, measured: bool
) -> EvaluatedCandidate:
    return EvaluatedCandidate(
        tokens=tuple(map(ord, name)),
        architecture=SPACE.decode(np.zeros(len(SPACE.n_choices), dtype=np.int64)),
        accuracy=accuracy,
        expected_accuracy=expected,
        reward=accuracy,
        predicted_ms=ms,
        expected_ms=ms,
        measured_ms=ms if measured else None,
    )


def test_the_answer_is_chosen_by_what_is_expected_not_by_luck() -> None:
    lucky = network("lucky", 0.90, 0.80, 4.0, measured=True)
    sound = network("sound", 0.85, 0.84, 4.5, measured=True)
    assert choose_winner([lucky, sound], 5.0, measured_only=True) == sound
    assert front_of([lucky, sound]) == (lucky, sound)
    unmeasured = network("open", 0.95, 0.83, 4.4, measured=False)
    assert worth_measuring([lucky, sound, unmeasured], [5.0], 0.02, 3) == []
    better = network("better", 0.70, 0.85, 4.4, measured=False)
    assert worth_measuring([lucky, sound, unmeasured, better], [5.0], 0.02, 3) == [better]


class NoisyToy:
    """The toy's accuracies with noise of a network's own; claims it or not."""

    description = "noisy toy"

    def __init__(self, noise: float) -> None:
        self.noise = noise

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        for index, candidate in enumerate(candidates):
            row = np.array(candidate.tokens)
            luck = np.random.default_rng([7, *row.tolist()]).standard_normal()
            yield index, CandidateResult(accuracy=float(toy_accuracy(row) + NOISE * luck))


@pytest.mark.parametrize("noise", [NOISE, float("nan")])
def test_a_run_on_a_noisy_source_answers_by_expected_accuracy(tmp_path: Path, noise: float) -> None:
    noisy = replace(toy_problem(validator=ToyValidator()), accuracy=NoisyToy(noise))
    with Search(noisy, replace(TOY, n_samples=120), tmp_path / "run") as search:
        result = search.run()
    best = max(result.front, key=lambda each: each.expected_accuracy)
    winner = result.winner
    assert winner.expected_accuracy != winner.accuracy
    measured = [each for each in result.front if each.measured_ms is not None]
    assert winner.expected_accuracy >= max(
        each.expected_accuracy for each in measured if each.latency_ms <= 16.0
    )
    assert best.expected_accuracy >= winner.expected_accuracy
    reported = json.loads((tmp_path / "run" / "result.json").read_text())
    assert reported["winner"]["expected_accuracy"] == winner.expected_accuracy
    store = SearchStore(tmp_path / "run" / "search.sqlite", read_only=True)
    assert not store.accuracy_is_exact
    store.close()


def test_a_run_on_an_exact_source_takes_accuracies_as_they_are(tmp_path: Path) -> None:
    exact = toy_problem(validator=ToyValidator())
    with Search(exact, TOY, tmp_path / "run") as search:
        result = search.run()
    assert all(each.expected_accuracy == each.accuracy for each in result.front)
    assert all(
        each.accuracy == toy_accuracy(SPACE.encode(each.architecture)) for each in result.front
    )
    assert all(each.latency_ms == toy_ms(SPACE.encode(each.architecture)[None])[0]
               for each in result.front if each.measured_ms is not None)  # fmt: skip
    store = SearchStore(tmp_path / "run" / "search.sqlite", read_only=True)
    assert store.accuracy_is_exact
    store.close()


def test_a_function_says_how_exact_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "told_accuracy.py").write_text(
        "def silent(architecture): return 0.5\n"
        "def noisy(architecture): return 0.5\n"
        "noisy.noise = 0.02\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert FunctionAccuracy("told_accuracy:noisy").noise == 0.02
    assert FunctionAccuracy("told_accuracy:silent").noise == 0.0
