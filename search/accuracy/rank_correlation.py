"""Compares how accuracy sources rank the same networks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from mnaslat.arrays import Floats
from mnaslat.errors import SearchError
from mnaslat.search.accuracy.source import AccuracySource, Candidate

_MIN_NETWORKS = 4  # below that a correlation means nothing


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """Accuracies of the same networks from several sources, and how alike they rank them.

    Attributes:
        accuracy: Shape ``(sources, networks)``; only of networks that no source failed on.
        spearman: Rank correlations, shape ``(sources, sources)``: 1 is the same order, 0 none.
    """

    accuracy: Floats
    spearman: Floats

    def with_mean_of(self, source: int, others: Sequence[int]) -> float:
        """Rank correlation of one source with the mean of others, whose noise is then less."""
        return _spearman(self.accuracy[source], self.accuracy[list(others)].mean(0))


def rank_correlation(
    sources: Sequence[AccuracySource], candidates: Sequence[Candidate]
) -> Agreement:
    """Evaluate the same candidates with several sources and compare the rankings.

    Compare the correlation of a cheap source and an exact one with that between two seeds of the
    exact one: no source can agree with it better than it does with itself.

    Raises:
        SearchError: If fewer than four networks have an accuracy from every source.
    """
    accuracy = np.full((len(sources), len(candidates)), np.nan)
    for row, source in zip(accuracy, sources, strict=True):
        for index, result in source.evaluate(candidates):
            if result.accuracy is not None:
                row[index] = result.accuracy
    accuracy = accuracy[:, ~np.isnan(accuracy).any(0)]
    if accuracy.shape[1] < _MIN_NETWORKS:
        raise SearchError(
            f"Only {accuracy.shape[1]} networks have an accuracy from every source; "
            f"{_MIN_NETWORKS} are the least for a rank correlation."
        )
    spearman = np.array([[_spearman(one, other) for other in accuracy] for one in accuracy])
    return Agreement(accuracy=accuracy, spearman=spearman)


def _spearman(one: Floats, other: Floats) -> float:
    if np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return 0.0  # a source that calls all networks equal ranks nothing
    return float(spearmanr(one, other).statistic)
