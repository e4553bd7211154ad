"""The Pareto front: worked out by hand, and as a law."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.search.pareto import pareto_front

# Few different values, so that ties happen.
POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), max_size=25)


@pytest.mark.parametrize(
    ("accuracy", "latency_ms", "front"),
    [
        ([0.70, 0.72, 0.71], [50, 80, 90], [0, 1]),  # the third is slower and worse than the second
        ([0.72, 0.70], [80, 50], [1, 0]),  # fastest first
        ([0.70, 0.72], [50, 50], [1]),  # equally fast: only the better
        ([0.70, 0.70], [60, 50], [1]),  # equally good: only the faster
        ([0.70, 0.70, 0.70], [50, 50, 50], [0]),  # equal in both: the first stands for all
        ([], [], []),
    ],
)
def test_front_worked_out_by_hand(
    accuracy: list[float], latency_ms: list[float], front: list[int]
) -> None:
    assert pareto_front(accuracy, latency_ms).tolist() == front


def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] >= other[0] and one[1] <= other[1] and one != other


@given(POINTS)
def test_nothing_beats_the_front_and_the_front_covers_everything(
    points: list[tuple[int, int]],
) -> None:
    accuracy, latency_ms = [p[0] for p in points], [p[1] for p in points]
    front = [points[index] for index in pareto_front(accuracy, latency_ms)]
    assert not any(beats(point, kept) for point in points for kept in front)
    assert all(point in front or any(beats(kept, point) for kept in front) for point in points)
    assert len(set(front)) == len(front)
    assert [p[1] for p in front] == sorted(p[1] for p in front)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="one shape"):
        pareto_front([0.5], [1.0, 2.0])
    with pytest.raises(ValueError, match="NaN"):
        pareto_front([np.nan], [1.0])
