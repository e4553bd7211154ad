"""The default searcher: a controller that learns from a model's guesses."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mnaslat.arrays import Floats, Tokens
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run.history import rewards_of
from mnaslat.search.searchers.base import Observations, Searcher
from mnaslat.search.searchers.ppo import PPOSearcher
from mnaslat.search.searchers.random import RandomSearcher
from mnaslat.search.searchers.surrogate_ppo import SurrogatePPOSearcher, SurrogatePPOSettings
from mnaslat.search.settings import SearchSettings
from tests.search.toy_runs import SPACE, toy_accuracy, toy_ms

HARD, SOFT = RewardSettings.hard(16.0), RewardSettings.soft(16.0)
SMALL = SurrogatePPOSettings(n_restart=40, n_start=10, n_updates=2, n_samples=50)


def seen_of(
    tokens: Tokens, reward: RewardSettings, failed: Callable[[Tokens], bool] | None = None
) -> Observations:
    accuracy = np.array([toy_accuracy(row) for row in tokens])
    if failed is not None:
        accuracy = np.where([failed(row) for row in tokens], np.nan, accuracy)
    latency_ms, target_ms = toy_ms(tokens), np.full(len(tokens), reward.target_ms)

    def reward_of(accuracy: Floats, latency_ms: Floats, target_ms: Floats) -> Floats:
        return rewards_of(accuracy, latency_ms, target_ms, reward)

    return Observations(
        n_choices=SPACE.n_choices,
        tokens=tokens,
        accuracy=accuracy,
        latency_ms=latency_ms,
        target_ms=target_ms,
        reward=reward_of(accuracy, latency_ms, target_ms),
        target_range_ms=(reward.target_ms, reward.target_ms),
        latency_of=toy_ms,
        reward_of=reward_of,
        next_target_ms=lambda n: np.full(n, reward.target_ms),
        networks_of=lambda rows: [SPACE.decode(row) for row in rows],
        n_total=400,
    )


def run(
    searcher: Searcher,
    n: int,
    tokens: Tokens | None = None,
    reward: RewardSettings = HARD,
    failed: Callable[[Tokens], bool] | None = None,
) -> Observations:
    tokens = np.empty((0, len(SPACE.n_choices)), dtype=np.int64) if tokens is None else tokens
    while len(tokens) < n:
        observations = seen_of(tokens, reward, failed)
        rows = searcher.propose(observations, min(20 - len(tokens) % 20, n - len(tokens)))
        first, tokens = len(tokens), np.concatenate((tokens, rows))
        searcher.learn(seen_of(tokens, reward, failed), first)
    return seen_of(tokens, reward, failed)


@pytest.mark.parametrize("reward", [HARD, SOFT], ids=["hard", "soft"])
def test_with_few_evaluations_it_finds_more_than_the_controller_alone(
    reward: RewardSettings,
) -> None:
    n = 100
    found = run(SurrogatePPOSearcher(SPACE.n_choices, seed=0), n, reward=reward).reward.max()
    alone = run(PPOSearcher(SPACE.n_choices, "fast", seed=0), n, reward=reward).reward.max()
    random = run(RandomSearcher(seed=0), n, reward=reward).reward.max()
    assert found > alone
    assert found > random


def test_no_network_is_proposed_twice() -> None:
    observations = run(SurrogatePPOSearcher(SPACE.n_choices, seed=1, settings=SMALL), 100)
    assert len({SPACE.decode(row) for row in observations.tokens}) == 100


def test_legs_start_from_random_networks_that_keep_to_the_target() -> None:
    hard = run(SurrogatePPOSearcher(SPACE.n_choices, seed=0, settings=SMALL), 50)
    for start in (0, 40):
        assert (hard.latency_ms[start : start + 10] <= HARD.target_ms).all()
    # No limit was meant: some are slower.
    soft = run(SurrogatePPOSearcher(SPACE.n_choices, seed=0, settings=SMALL), 10, reward=SOFT)
    assert (soft.latency_ms > SOFT.target_ms).any()


def test_late_legs_are_longer() -> None:
    settings = replace(SMALL, n_growing=60)
    searcher = SurrogatePPOSearcher(SPACE.n_choices, seed=0, settings=settings)
    tokens = np.empty((0, len(SPACE.n_choices)), dtype=np.int64)
    sizes: dict[int, list[int]] = {}
    while len(tokens) < 180:
        rows = searcher.propose(seen_of(tokens, HARD), 20)
        tokens = np.concatenate((tokens, rows))
        leg_first = searcher.learn(seen_of(tokens, HARD), len(tokens))["leg_first"]
        sizes.setdefault(int(leg_first), []).append(len(rows))
    # From 80 on by 80 / 60, from 133 on by 133 / 60: legs of 53 and 88 with batches of 6 and 11.
    assert list(sizes) == [0, 40, 80, 133]
    assert sizes[0] == sizes[40] == [10, *[5] * 6]
    assert sizes[80] == [13, *[6] * 6, 4]
    assert sizes[133][:3] == [20, 2, 11]  # a start of 22, of which a proposal has room for 20


def test_gone_on_with_it_proposes_the_same() -> None:
    whole = run(SurrogatePPOSearcher(SPACE.n_choices, seed=2, settings=SMALL), 100)
    for n in (20, 40, 60):
        first = SurrogatePPOSearcher(SPACE.n_choices, seed=2, settings=SMALL)
        part = run(first, n)
        again = SurrogatePPOSearcher(SPACE.n_choices, seed=77, settings=SMALL)
        again.restore(first.state(), part)
        assert np.array_equal(run(again, 100, part.tokens).tokens, whole.tokens)


def test_gone_on_with_where_a_leg_begins_it_logs_the_same() -> None:
    first = SurrogatePPOSearcher(SPACE.n_choices, seed=2, settings=SMALL)
    part = run(first, 40)
    again = SurrogatePPOSearcher(SPACE.n_choices, seed=77, settings=SMALL)
    again.restore(first.state(), part)
    logs = []
    for searcher in (first, again):
        tokens = np.concatenate((part.tokens, searcher.propose(part, 20)))
        logs.append(searcher.learn(seen_of(tokens, HARD), 40))
    assert logs[0] == logs[1] == {"leg_first": 40.0}


def test_children_that_fail_teach_nothing_and_are_not_asked_again() -> None:
    def failed(row: Tokens) -> bool:
        return bool(row[0] == 2)

    observations = run(
        SurrogatePPOSearcher(SPACE.n_choices, seed=0, settings=SMALL), 80, failed=failed
    )
    assert len({SPACE.decode(row) for row in observations.tokens}) == 80
    assert np.isfinite(observations.accuracy).sum() > 40
    # All of them may fail: it goes on with random ones.
    alone = run(
        SurrogatePPOSearcher(SPACE.n_choices, seed=0, settings=SMALL), 30, failed=lambda _: True
    )
    assert not np.isfinite(alone.accuracy).any()


def test_a_space_may_have_fewer_networks_than_are_asked_for() -> None:
    n_choices = np.array([2, 2])

    def seen_small(tokens: Tokens) -> Observations:
        accuracy = 0.5 + 0.1 * tokens.sum(1)
        ones = np.ones(len(tokens))
        return replace(
            seen_of(np.empty((0, len(SPACE.n_choices)), dtype=np.int64), HARD),
            n_choices=n_choices,
            tokens=tokens,
            accuracy=accuracy,
            latency_ms=ones,
            target_ms=16.0 * ones,
            reward=accuracy,
            latency_of=lambda rows: np.ones(len(rows)),
            networks_of=lambda rows: [tuple(row) for row in rows.tolist()],  # type: ignore[misc]
        )

    searcher = SurrogatePPOSearcher(
        n_choices, seed=0, settings=replace(SMALL, n_start=2, n_restart=4)
    )
    tokens = np.empty((0, 2), dtype=np.int64)
    while len(tokens) < 12:
        rows = searcher.propose(seen_small(tokens), 3)
        assert 1 <= len(rows) <= 3
        tokens = np.concatenate((tokens, rows))
    assert len(np.unique(tokens[:4], axis=0)) == 4


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="n_batch must be positive"):
        SurrogatePPOSettings(n_batch=0)
    with pytest.raises(ValueError, match="cannot begin with"):
        SurrogatePPOSettings(n_restart=20)


def test_it_is_what_a_search_uses_by_default() -> None:
    from mnaslat.search.searchers.registry import new_searcher

    default = SearchSettings(reward=HARD)
    assert isinstance(new_searcher(SPACE.n_choices, default), SurrogatePPOSearcher)
    for other in (
        replace(default, surrogate=False),
        replace(default, preset="paper"),
        replace(default, target_ms_range=(10.0, 20.0)),
    ):
        assert isinstance(new_searcher(SPACE.n_choices, other), PPOSearcher)
