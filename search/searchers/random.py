"""Proposes networks at random."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mnaslat.arrays import Tokens
from mnaslat.search.searchers.base import Observations
from mnaslat.search.searchers.evolution import random_rows


class RandomSearcher:
    """Draws every network uniformly."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed

    def propose(self, observations: Observations, n: int, /) -> Tokens:
        """Draw ``n`` rows."""
        return random_rows(observations, n, np.random.default_rng([self._seed, len(observations)]))

    def learn(self, observations: Observations, first: int, /) -> Mapping[str, float]:
        """Do nothing."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return nothing: the draws depend on the seed and the number of evaluations."""
        return {}

    def restore(self, state: Mapping[str, Any], observations: Observations, /) -> None:
        """Do nothing."""
