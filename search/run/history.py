"""All evaluations of a run in memory, as the searcher sees them and as the store keeps them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mnaslat.arrays import Floats, Tokens
from mnaslat.files import json_value
from mnaslat.search.latency.latencies import Latencies
from mnaslat.search.reward import RewardSettings, mnasnet_reward
from mnaslat.search.run.records import Evaluation
from mnaslat.search.searchers.base import Seen
from mnaslat.search.settings import SearchSettings
from mnaslat.search.targets import episode_targets_ms
from mnaslat.search.tokens import tokens_row
from mnaslat.space import SearchSpace


@dataclass(frozen=True)
class _Columns:
    """Arrays with a row per evaluation."""

    tokens: Tokens
    accuracy: Floats
    target_ms: Floats
    predicted_ms: Floats
    latency_ms: Floats
    reward: Floats


class History:
    """The evaluations of the finished rounds, and of the round that is being done.

    Args:
        space: That is searched.
        settings: Of the run.
        latencies: The present predictor's.
    """

    def __init__(self, space: SearchSpace, settings: SearchSettings, latencies: Latencies) -> None:
        self._space, self._settings, self._latencies = space, settings, latencies
        self._texts: list[str] = []
        self._places: list[tuple[int, int]] = []  # round and index in it
        self._room = _Columns(
            np.empty((0, len(space.decisions)), dtype=np.int64), *(np.empty(0) for _ in range(5))
        )

    def __len__(self) -> int:
        return len(self._texts)

    def load(self, evaluations: Sequence[Evaluation]) -> None:
        """Start with what a store holds; latencies and rewards as they stand there."""
        self._texts = [row.tokens for row in evaluations]
        self._places = [(row.round, row.index_in_round) for row in evaluations]
        tokens = [tokens_row(row.tokens) for row in evaluations]
        self._room = _Columns(
            np.array(tokens, dtype=np.int64).reshape(-1, len(self._space.decisions)),
            _floats(row.accuracy for row in evaluations),
            _floats(row.target_ms for row in evaluations),
            _floats(row.predicted_ms for row in evaluations),
            _floats(row.latency_ms for row in evaluations),
            _floats(row.reward for row in evaluations),
        )

    def next_target_ms(self, n: int) -> Floats:
        """Targets of the next ``n`` episodes, shape ``(n,)``."""
        settings = self._settings
        return episode_targets_ms(settings.target_range_ms, settings.seed, len(self), n)

    def add(
        self, round_: int, texts: Sequence[str], tokens: Tokens, accuracies: Sequence[float | None]
    ) -> list[Evaluation]:
        """Take in networks of a round with their accuracies; returns them as they are stored."""
        first, accuracy = len(self), _floats(accuracies)
        begun = sum(1 for place in reversed(self._places) if place[0] == round_)
        target_ms = self.next_target_ms(len(texts))
        predicted_ms = self._latencies.predicted_ms(tokens)
        latency_ms = self._latencies.reward_ms(tokens)
        reward = rewards_of(accuracy, latency_ms, target_ms, self._settings.reward)
        self._grow(len(texts))
        values = (tokens, accuracy, target_ms, predicted_ms, latency_ms, reward)
        for column, added in zip(vars(self._room).values(), values, strict=True):
            column[first : first + len(texts)] = added
        self._texts += texts
        self._places += [(round_, begun + index) for index in range(len(texts))]
        return self.evaluations(first)

    def rescore(self, latencies: Latencies) -> list[Evaluation]:
        """Give all evaluations the latencies of another predictor; returns them as stored."""
        self._latencies = latencies
        now = self._filled()
        now.predicted_ms[:] = latencies.predicted_ms(now.tokens)
        now.latency_ms[:] = latencies.reward_ms(now.tokens)
        now.reward[:] = rewards_of(
            now.accuracy, now.latency_ms, now.target_ms, self._settings.reward
        )
        return self.evaluations(0)

    def evaluations(self, first: int, end: int | None = None) -> list[Evaluation]:
        """The evaluations from one on, up to another, as they are stored."""
        now = self._filled()
        columns = (
            self._texts[first:end],
            now.target_ms[first:end].tolist(),
            _or_none(now.accuracy[first:end]),
            now.predicted_ms[first:end].tolist(),
            now.latency_ms[first:end].tolist(),
            _or_none(now.reward[first:end]),
        )
        return [
            Evaluation(*place, *row)
            for place, *row in zip(self._places[first:end], *columns, strict=True)
        ]

    def best(self) -> Evaluation | None:
        """The evaluation with the highest reward, the first of equals."""
        reward = self._filled().reward
        if not np.isfinite(reward).any():
            return None
        index = int(np.nanargmax(reward))
        return self.evaluations(index, index + 1)[0]

    def seen(self) -> Seen:
        """What a searcher is shown."""
        now = self._filled()
        for column in vars(now).values():
            column.flags.writeable = False  # of the view
        return Seen(
            n_choices=self._space.n_choices,
            tokens=now.tokens,
            accuracy=now.accuracy,
            latency_ms=now.latency_ms,
            target_ms=now.target_ms,
            reward=now.reward,
            target_range_ms=self._settings.target_range_ms,
            latency_of=self._latencies.reward_ms,
            reward_of=self._reward_of,
            next_target_ms=self.next_target_ms,
            networks_of=lambda tokens: [self._space.decode(row) for row in tokens],
            n_total=self._settings.n_samples,
        )

    def _reward_of(self, accuracy: Floats, latency_ms: Floats, target_ms: Floats) -> Floats:
        return rewards_of(accuracy, latency_ms, target_ms, self._settings.reward)

    def _filled(self) -> _Columns:
        return _Columns(*(column[: len(self)] for column in vars(self._room).values()))

    def _grow(self, n_more: int) -> None:
        if len(self) + n_more <= len(self._room.reward):
            return
        size = 2 * (len(self) + n_more)
        now = self._filled()
        grown = _Columns(
            *(np.empty((size, *column.shape[1:]), column.dtype) for column in vars(now).values())
        )
        for new, old in zip(vars(grown).values(), vars(now).values(), strict=True):
            new[: len(self)] = old
        self._room = grown


def rewards_of(
    accuracy: Floats, latency_ms: Floats, target_ms: Floats, settings: RewardSettings
) -> Floats:
    """``mnasnet_reward``, but nan where the accuracy is: the child failed. Shape ``(n,)``."""
    accuracy = np.clip(accuracy, 0.0, 1.0)  # a model's guess may lie a little outside
    there = np.isfinite(accuracy)
    if there.all():
        return mnasnet_reward(accuracy, latency_ms, settings, target_ms)
    rewards = mnasnet_reward(np.where(there, accuracy, 0.0), latency_ms, settings, target_ms)
    return np.where(there, rewards, np.nan)


def _floats(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _or_none(values: Floats) -> list[float | None]:
    plain: list[float | None] = json_value(values.tolist())
    return plain
