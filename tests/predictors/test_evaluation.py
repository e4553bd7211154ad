"""Errors of predictions, worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.predictors.evaluation import prediction_errors


def _array(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def test_errors_worked_out_by_hand() -> None:
    found = prediction_errors(_array(1.1, 1.8, 3.0, 5.0), _array(1.0, 2.0, 3.0, 4.0))
    # Relative: +0.1, -0.1, 0, +0.25.
    assert found.n == 4
    assert found.mape == pytest.approx(0.45 / 4, rel=1e-9)
    assert found.bias == pytest.approx(0.25 / 4, rel=1e-9)
    assert (found.within_5, found.within_10) == (0.25, 0.75)
    assert found.spearman == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("predicted_ms", "within_5", "within_10"),
    [(1.05, 1, 1), (0.95, 1, 1), (1.0501, 0, 1), (1.1, 0, 1), (0.9, 0, 1), (1.1001, 0, 0)],
)
@pytest.mark.parametrize("measured_ms", [1.0, 3.0, 100.0, 7e-3])
def test_the_bounds_are_within(
    predicted_ms: float, within_5: int, within_10: int, measured_ms: float
) -> None:
    found = prediction_errors(_array(predicted_ms * measured_ms), _array(measured_ms))
    assert (found.within_5, found.within_10) == (within_5, within_10)


def test_rank_correlation_by_hand() -> None:
    # Ranks 1 2 3 against 1 3 2: 1 - 6 * 2 / (3 * 8).
    found = prediction_errors(_array(1.0, 3.0, 2.0), _array(1.0, 2.0, 3.0))
    assert found.spearman == pytest.approx(0.5)


def test_there_is_no_rank_correlation_of_two_networks_or_of_equal_ones() -> None:
    assert math.isnan(prediction_errors(_array(1, 2), _array(1, 2)).spearman)
    assert math.isnan(prediction_errors(_array(1, 1, 1), _array(1, 2, 3)).spearman)


@given(st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=20))
def test_errors_do_not_depend_on_the_unit(pairs: list[tuple[float, float]]) -> None:
    predicted_ms, measured_ms = map(np.array, zip(*pairs, strict=True))
    in_ms = prediction_errors(predicted_ms, measured_ms)
    in_other = prediction_errors(predicted_ms * 4, measured_ms * 4)  # exact in floats
    assert in_ms == in_other or (math.isnan(in_ms.spearman) and math.isnan(in_other.spearman))
    assert abs(in_ms.bias) <= in_ms.mape + 1e-9
    assert in_ms.within_5 <= in_ms.within_10


@pytest.mark.parametrize(
    ("predicted_ms", "measured_ms", "reason"),
    [
        ((), (), "Shapes must agree"),
        ((1.0,), (1.0, 2.0), "Shapes must agree"),
        ((1.0,), (0.0,), "must be positive"),
        ((1.0,), (-1.0,), "must be positive"),
        ((1.0,), (math.nan,), "must be positive"),
        ((1.0,), (math.inf,), "must be positive"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    predicted_ms: tuple[float, ...], measured_ms: tuple[float, ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        prediction_errors(_array(*predicted_ms), _array(*measured_ms))
