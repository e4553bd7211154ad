"""Rank correlations between sources, on known answers."""

import math
from collections.abc import Iterator, Sequence

import pytest

from mnaslat.errors import SearchError
from mnaslat.search.accuracy.rank_correlation import rank_correlation
from mnaslat.search.accuracy.source import Candidate, CandidateResult
from tests.search.tiny_networks import tiny_network, without_tokens

NETWORKS = without_tokens([tiny_network(filters=8 * number) for number in range(1, 6)])


class Known:
    """Gives accuracies from a list, last first; None fails."""

    description = "known"
    noise = math.nan

    def __init__(self, *accuracies: float | None) -> None:
        self._accuracies = accuracies

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        for index in reversed(range(len(candidates))):
            accuracy = self._accuracies[index]
            yield index, CandidateResult(accuracy=accuracy, failure="" if accuracy else "broke")


def test_correlations_worked_out_by_hand() -> None:
    up = Known(0.1, 0.2, 0.3, 0.4, 0.5)
    down = Known(0.9, 0.8, 0.7, 0.6, 0.5)
    swapped = Known(0.1, 0.3, 0.2, 0.4, 0.5)  # 1 - 6 * (1 + 1) / (5 * 24) = 0.9
    agreement = rank_correlation([up, down, swapped], NETWORKS)
    assert agreement.accuracy[1].tolist() == [0.9, 0.8, 0.7, 0.6, 0.5]
    expected = [[1.0, -1.0, 0.9], [-1.0, 1.0, -0.9], [0.9, -0.9, 1.0]]
    for found, row in zip(agreement.spearman, expected, strict=True):
        assert found == pytest.approx(row)
    # The mean of up and swapped is 0.1, 0.25, 0.25, 0.4, 0.5: Pearson's of ranks with a tie.
    assert agreement.with_mean_of(0, [0, 2]) == pytest.approx(9.5 / math.sqrt(10 * 9.5))


def test_networks_that_failed_anywhere_are_left_out() -> None:
    agreement = rank_correlation(
        [Known(0.1, None, 0.3, 0.4, 0.5), Known(0.1, 0.9, 0.3, 0.4, 0.5)], NETWORKS
    )
    assert agreement.accuracy.shape == (2, 4)
    assert agreement.spearman[0, 1] == pytest.approx(1.0)
    with pytest.raises(SearchError, match="Only 3 networks"):
        rank_correlation([Known(None, None, 0.3, 0.4, 0.5)], NETWORKS)


def test_a_source_that_calls_all_equal_ranks_nothing() -> None:
    flat = Known(*[0.5] * 5)
    assert rank_correlation([flat, Known(0.1, 0.2, 0.3, 0.4, 0.5)], NETWORKS).spearman[0, 1] == 0.0
