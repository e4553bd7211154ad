"""Targets are drawn from the whole range, and one that no network can keep is refused."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.errors import SearchError
from mnaslat.search.latency.latencies import Latencies
from mnaslat.search.latency.reachable import check_targets, reachable_ms
from mnaslat.search.run.search import Search
from mnaslat.search.targets import episode_targets_ms, spaced_targets_ms
from tests.search.toy_runs import SPACE, TOY, ToyPredictor, toy_ms, toy_problem

RANGE = (20.0, 80.0)
LATENCIES = Latencies(ToyPredictor(1.0), SPACE)


@given(st.integers(0, 10), st.integers(0, 300), st.integers(1, 50), st.integers(0, 49))
def test_an_episodes_target_depends_on_its_number_alone(
    seed: int, first: int, n: int, skipped: int
) -> None:
    whole = episode_targets_ms(RANGE, seed, first, n)
    assert whole.shape == (n,)
    assert ((whole >= 20.0) & (whole <= 80.0)).all()
    part = episode_targets_ms(RANGE, seed, first + min(skipped, n), n - min(skipped, n))
    assert np.array_equal(whole[min(skipped, n) :], part)


def test_targets_are_spread_evenly_in_the_logarithm() -> None:
    drawn = episode_targets_ms(RANGE, 3, 40, 20)
    places = np.sort(np.log(drawn / 20.0) / np.log(4.0))
    assert np.array_equal((places * 20).astype(int), np.arange(20))
    assert not np.array_equal(drawn, np.sort(drawn))
    assert episode_targets_ms((5.0, 5.0), 0, 7, 3).tolist() == [5.0, 5.0, 5.0]


def test_targets_of_the_answer_worked_out_by_hand() -> None:
    assert spaced_targets_ms((10.0, 1000.0), 3) == pytest.approx((10.0, 100.0, 1000.0))
    assert spaced_targets_ms((75.0, 75.0), 9) == (75.0,)


def test_what_a_space_can_reach() -> None:
    # 3 ms with every decision at its first choice; at its last, worked out by the same sum.
    slowest = toy_ms((SPACE.n_choices - 1)[None])[0]
    assert reachable_ms(LATENCIES, SPACE) == pytest.approx((3.0, slowest))


def test_a_target_out_of_reach_is_refused_with_the_range(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"as fast as 2\.9 ms: .* reaches from 3 to 28\.9 ms"):
        check_targets((2.9, 20.0), LATENCIES, SPACE)
    assert "rules nothing out" in check_targets((10.0, 40.0), LATENCIES, SPACE)
    assert "faster than 1000 ms" in check_targets((10.0, 1e3), LATENCIES, SPACE)
    assert check_targets((3.1, 28.0), LATENCIES, SPACE) == ""
    assert check_targets((15.0, 16.0), LATENCIES, SPACE) == ""
    settings = replace(TOY, reward=replace(TOY.reward, target_ms=1.0))
    with pytest.raises(SearchError, match=re.escape("No network of space accel-nasbench")):
        Search(toy_problem(), settings, tmp_path / "fast")
    settings = replace(TOY, reward=replace(TOY.reward, target_ms=99.0))
    with Search(toy_problem(), settings, tmp_path / "slow") as search:
        assert "rules nothing out" in search.note
