"""How many deviations an interval takes, worked out by hand."""

import math

import numpy as np
import pytest

from mnaslat.predictors.cost_model.intervals import IntervalScores

USUAL, NOVEL = 0.01, 0.04


def scores_of(alone: float, with_family: float, n_families: int) -> IntervalScores:
    """All networks left out erred alike."""
    return IntervalScores(
        alone=np.full(20, alone),
        with_family=np.full(20, with_family),
        n_families=n_families,
        usual_deviation=USUAL,
        novel_deviation=NOVEL,
    )


def test_the_quantile_is_corrected_for_the_number_of_networks() -> None:
    # 20 scores of 0 and ten of a normal distribution: 0.9 (1 + 1/30) of 30 is 27.9, the 28th, the
    # eighth normal one, which 75 % lie below. Uncorrected it would be the 27th, 0.93.
    (found,) = scores_of(0.0, 0.0, 20).n_deviations(np.array([USUAL]), 0.9)
    assert found == pytest.approx(1.1503, abs=1e-4)


def test_a_network_of_a_new_kind_gets_what_families_left_out_needed() -> None:
    scores = scores_of(0.5, 3.0, 4)
    # 0.9 (1 + 1/14) of 30 is 28.9, the 29th: a family's, for the largest normal one is 1.96.
    known, new, beyond = scores.n_deviations(np.array([USUAL, NOVEL, 10 * NOVEL]), 0.9)
    assert new == beyond == 3.0
    assert known == pytest.approx(1.1503, abs=1e-4)
    # In between in proportion, in logarithms.
    (between,) = scores.n_deviations(np.array([math.sqrt(USUAL * NOVEL)]), 0.9)
    assert between == pytest.approx((known + new) / 2)
