"""Holds all evaluations of a run in memory, as searchers and the store take them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mnaslat.arrays import Floats, Tokens
from mnaslat.files import json_value
from mnaslat.search.decoder import Decoder
from mnaslat.search.latency.latencies import Latencies
from mnaslat.search.reward import RewardSettings, mnasnet_reward
from mnaslat.search.run.records import Evaluation
from mnaslat.search.searchers.base import Observations
from mnaslat.search.settings import SearchSettings
from mnaslat.search.targets import episode_targets_ms
from mnaslat.search.tokens import TokenKey, token_keys


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
    """The evaluations of the finished rounds and of the present one.

    Args:
        decoder: Of the space that is searched.
        settings: Of the run.
        latencies: The present predictor's.
    """

    def __init__(self, decoder: Decoder, settings: SearchSettings, latencies: Latencies) -> None:
        self._decoder, self._settings, self._latencies = decoder, settings, latencies
        self._n_choices = decoder.space.n_choices
        self._keys: list[TokenKey] = []
        self._places: list[tuple[int, int]] = []  # round and index in it
        self._room = _Columns(
            np.empty((0, len(self._n_choices)), dtype=np.int64), *(np.empty(0) for _ in range(5))
        )

    def __len__(self) -> int:
        return len(self._keys)

    def load(self, evaluations: Sequence[Evaluation]) -> None:
        """Load the evaluations of a store, latencies and rewards included."""
        self._keys = [row.tokens for row in evaluations]
        self._places = [(row.round, row.index_in_round) for row in evaluations]
        self._room = _Columns(
            np.array(self._keys, dtype=np.int64).reshape(-1, len(self._n_choices)),
            _floats(row.accuracy for row in evaluations),
            _floats(row.target_ms for row in evaluations),
            _floats(row.predicted_ms for row in evaluations),
            _floats(row.latency_ms for row in evaluations),
            _floats(row.reward for row in evaluations),
        )

    def next_target_ms(self, n: int) -> Floats:
        """Draw the targets of the next ``n`` episodes, shape ``(n,)``."""
        settings = self._settings
        return episode_targets_ms(settings.target_range_ms, settings.seed, len(self), n)

    def add(
        self, round_: int, tokens: Tokens, accuracies: Sequence[float | None]
    ) -> list[Evaluation]:
        """Add networks of a round with their accuracies; returns them as they are stored."""
        first, accuracy = len(self), _floats(accuracies)
        begun = sum(1 for place in reversed(self._places) if place[0] == round_)
        target_ms = self.next_target_ms(len(tokens))
        predicted_ms = self._latencies.predicted_ms(tokens)
        latency_ms = self._latencies.reward_ms(tokens)
        reward = rewards_of(accuracy, latency_ms, target_ms, self._settings.reward)
        self._grow(len(tokens))
        values = (tokens, accuracy, target_ms, predicted_ms, latency_ms, reward)
        for column, added in zip(vars(self._room).values(), values, strict=True):
            column[first : first + len(tokens)] = added
        self._keys += token_keys(tokens)
        self._places += [(round_, begun + index) for index in range(len(tokens))]
        return self.evaluations(first)

    def rescore(self, latencies: Latencies) -> list[Evaluation]:
        """Compute all latencies and rewards anew; returns the evaluations as they are stored."""
        self._latencies = latencies
        now = self._filled()
        now.predicted_ms[:] = latencies.predicted_ms(now.tokens)
        now.latency_ms[:] = latencies.reward_ms(now.tokens)
        now.reward[:] = rewards_of(
            now.accuracy, now.latency_ms, now.target_ms, self._settings.reward
        )
        return self.evaluations(0)

    def evaluations(self, first: int, end: int | None = None) -> list[Evaluation]:
        """List the evaluations from one to another as they are stored."""
        now = self._filled()
        columns = (
            self._keys[first:end],
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
        """Find the evaluation with the highest reward, the first of equals."""
        reward = self._filled().reward
        if not np.isfinite(reward).any():
            return None
        index = int(np.nanargmax(reward))
        return self.evaluations(index, index + 1)[0]

    def observations(self) -> Observations:
        """Give the evaluations to a searcher."""
        now = self._filled()
        for column in vars(now).values():
            column.flags.writeable = False  # of the view
        return Observations(
            n_choices=self._n_choices,
            tokens=now.tokens,
            accuracy=now.accuracy,
            latency_ms=now.latency_ms,
            target_ms=now.target_ms,
            reward=now.reward,
            target_range_ms=self._settings.target_range_ms,
            latency_of=self._latencies.reward_ms,
            reward_of=self._reward_of,
            next_target_ms=self.next_target_ms,
            networks_of=self._decoder.networks,
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
    """Compute ``mnasnet_reward``, shape ``(n,)``; nan where the accuracy is: evaluation failed."""
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
