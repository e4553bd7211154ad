"""Searchers draw from what was seen alone, and find what is good."""

import builtins
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mnaslat.arrays import Floats, Tokens
from mnaslat.errors import SearchError
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run.history import rewards_of
from mnaslat.search.searchers.base import Observations, Searcher
from mnaslat.search.searchers.evolution import EvolutionSearcher
from mnaslat.search.searchers.ppo import PPOSearcher
from mnaslat.search.searchers.registry import SEARCHERS, new_searcher
from mnaslat.search.settings import SearchSettings

N_CHOICES = np.array([3, 2, 4, 3, 1, 3])
HARD = RewardSettings.hard(6.0)


def truth(tokens: Tokens) -> Floats:
    """Best where every token is the last one; latency below does not bind."""
    return np.asarray(0.5 + 0.5 * (tokens / np.maximum(N_CHOICES - 1, 1)).mean(1))


def latency_of(tokens: Tokens) -> Floats:
    return np.asarray(1.0 + 0.2 * tokens.sum(1))


def reward_of(accuracy: Floats, latency_ms: Floats, target_ms: Floats) -> Floats:
    return rewards_of(accuracy, latency_ms, target_ms, HARD)


def seen_of(tokens: Tokens, failed: NDArray[np.bool_] | None = None) -> Observations:
    accuracy, latency_ms = truth(tokens), latency_of(tokens)
    if failed is not None:
        accuracy = np.where(failed, np.nan, accuracy)
    target_ms = np.full(len(tokens), 6.0)
    return Observations(
        n_choices=N_CHOICES,
        tokens=tokens,
        accuracy=accuracy,
        latency_ms=latency_ms,
        target_ms=target_ms,
        reward=reward_of(accuracy, latency_ms, target_ms),
        target_range_ms=(6.0, 6.0),
        latency_of=latency_of,
        reward_of=reward_of,
        next_target_ms=lambda n: np.full(n, 6.0),
        networks_of=lambda rows: [tuple(row) for row in rows.tolist()],  # type: ignore[misc]
        n_total=400,
    )


def run(searcher: Searcher, n: int, tokens: Tokens | None = None) -> Observations:
    tokens = np.empty((0, len(N_CHOICES)), dtype=np.int64) if tokens is None else tokens
    while len(tokens) < n:
        proposed = searcher.propose(seen_of(tokens), min(20, n - len(tokens)))
        assert ((proposed >= 0) & (proposed < N_CHOICES)).all()
        first, tokens = len(tokens), np.concatenate((tokens, proposed))
        searcher.learn(seen_of(tokens), first)
    return seen_of(tokens)


def searcher_of(name: str, seed: int = 0) -> Searcher:
    return new_searcher(N_CHOICES, SearchSettings(reward=HARD, searcher=name, seed=seed))


@pytest.mark.parametrize("name", SEARCHERS)
def test_restored_it_goes_on_as_if_it_had_never_stopped(name: str) -> None:
    whole = run(searcher_of(name), 160)
    first = searcher_of(name)
    half = run(first, 80)
    state = first.state()
    again = searcher_of(name)
    again.restore(state, half)
    assert np.array_equal(run(again, 160, half.tokens).tokens, whole.tokens)
    assert not np.array_equal(run(searcher_of(name, seed=1), 160).tokens, whole.tokens)


@pytest.mark.parametrize("name", [name for name in SEARCHERS if name != "random"])
def test_it_learns_what_is_good(name: str) -> None:
    # With a model no network comes twice, and of this small space the worst would be left.
    settings = SearchSettings(reward=HARD, searcher=name, surrogate=False)
    reward = run(new_searcher(N_CHOICES, settings), 200).reward
    at_random = run(searcher_of("random"), 200).reward.mean()
    assert reward[-40:].mean() > at_random + 0.03


def test_evolution_breeds_from_the_best_of_those_that_meet() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, N_CHOICES, size=(150, len(N_CHOICES)))
    searcher = EvolutionSearcher(seed=5, population=10, sample=10)
    result = searcher.propose(seen_of(tokens), 20)
    assert result.shape == (1, len(N_CHOICES))
    alive = tokens[-10:]
    best = alive[truth(alive).argmax()]
    assert (result[0] != best).sum() == 1  # one decision changed
    # The best fails: it never lived, and an older one is alive in its place.
    failed = np.zeros(150, dtype=bool)
    failed[140 + truth(alive).argmax()] = True
    result = searcher.propose(seen_of(tokens, failed), 20)
    alive = tokens[139:][~failed[139:]]
    assert (result[0] != alive[truth(alive).argmax()]).sum() == 1


def test_evolution_starts_with_a_random_population() -> None:
    searcher = EvolutionSearcher(seed=0, population=30, sample=5)
    none = np.empty((0, len(N_CHOICES)), dtype=np.int64)
    assert len(searcher.propose(seen_of(none), 20)) == 20
    some = np.zeros((20, len(N_CHOICES)), dtype=np.int64)
    assert len(searcher.propose(seen_of(some), 20)) == 10
    with pytest.raises(ValueError, match=r"sample must lie in 1\.\.30"):
        EvolutionSearcher(seed=0, population=30, sample=31)


def test_optuna_replays_only_what_it_proposed() -> None:
    searcher = searcher_of("optuna-tpe")
    half = run(searcher, 30)
    other = searcher_of("optuna-tpe")
    with pytest.raises(SearchError, match="proposes other networks than it did"):
        other.restore(searcher.state(), seen_of(np.roll(half.tokens, 1, axis=0)))


def test_without_optuna_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_optuna(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "optuna":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_optuna)
    with pytest.raises(SearchError, match=r"pip install 'mnaslat\[optuna\]'"):
        searcher_of("optuna-nsga2")


def test_the_moving_average_follows_rewards_that_were_rescored() -> None:
    searcher = PPOSearcher(N_CHOICES, "paper", seed=0)
    observations = run(searcher, 60)
    means = observations.reward.reshape(3, 20).mean(1)
    expected = 0.95 * (0.95 * means[0] + 0.05 * means[1]) + 0.05 * means[2]
    assert searcher._moving_average(observations, 60) == pytest.approx(expected)


def test_ppo_learns_from_the_children_that_lived() -> None:
    tokens = np.empty((0, len(N_CHOICES)), dtype=np.int64)
    searcher = PPOSearcher(N_CHOICES, "fast", seed=0)
    proposed = searcher.propose(seen_of(tokens), 20)
    before = {name: value.clone() for name, value in searcher.state()["controller"].items()}
    assert searcher.learn(seen_of(proposed, np.ones(20, dtype=bool)), 0) == {}
    _same(before, searcher.state()["controller"])
    failed = np.arange(20) < 7
    log = searcher.learn(seen_of(proposed, failed), 0)
    assert np.isfinite(list(log.values())).all()


def _same(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> None:
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_wrong_name_is_refused_with_the_known_ones() -> None:
    settings = SearchSettings(reward=HARD, searcher="hill-climbing")
    with pytest.raises(ValueError, match="No searcher 'hill-climbing'. Known: ppo, random, "):
        new_searcher(N_CHOICES, settings)
