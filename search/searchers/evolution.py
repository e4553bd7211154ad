"""Proposes networks by regularised evolution; a baseline searcher."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mnaslat.arrays import Tokens
from mnaslat.search.searchers.base import Observations


class EvolutionSearcher:
    """Mutates the best of a random sample of the youngest networks.

    The mutated network differs in one decision and replaces the oldest. In a range of targets,
    the sample is compared by the rewards at the new network's target.

    Source: Real et al., AAAI 2019 (arXiv:1802.01548), without crossover, as there.

    Args:
        seed: Of all draws.
        population: Size of the population; the first ones are random.
        sample: Size of the random sample.
    """

    def __init__(self, *, seed: int, population: int = 100, sample: int = 25) -> None:
        if not 1 <= sample <= population:
            raise ValueError(f"sample must lie in 1..{population}, got {sample}.")
        self._seed, self._population, self._sample = seed, population, sample

    def propose(self, observations: Observations, n: int, /) -> Tokens:
        """Propose one network at a time; before there is a population, random rows."""
        rng = np.random.default_rng([self._seed, len(observations)])
        born = np.flatnonzero(
            np.isfinite(observations.reward)
        )  # failed candidates do not enter the population
        if len(born) < self._population:
            return random_rows(observations, min(n, self._population - len(born)), rng)
        alive = born[-self._population :]
        met = rng.choice(alive, self._sample, replace=False)
        target_ms = np.repeat(observations.next_target_ms(1), len(met))
        worth = observations.reward_of(
            observations.accuracy[met], observations.latency_ms[met], target_ms
        )
        offspring = observations.tokens[met[int(worth.argmax())]].copy()
        position = rng.choice(np.flatnonzero(observations.n_choices > 1))
        n_choices = observations.n_choices[position]
        offspring[position] = (offspring[position] + rng.integers(1, n_choices)) % n_choices
        return np.asarray(offspring[None])

    def learn(self, observations: Observations, first: int, /) -> Mapping[str, float]:
        """Do nothing: the population is read from the observations."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return nothing: all is in the observations."""
        return {}

    def restore(self, state: Mapping[str, Any], observations: Observations, /) -> None:
        """Do nothing."""


def random_rows(observations: Observations, n: int, rng: np.random.Generator) -> Tokens:
    """Draw rows uniformly, shape ``(n, decisions)``."""
    return rng.integers(0, observations.n_choices, size=(n, len(observations.n_choices)))
