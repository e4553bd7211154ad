"""The reward is the paper's equation, and says what is wrong with its arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.search.reward import RewardSettings, mnasnet_reward

LATENCY = st.floats(min_value=0.01, max_value=1e4)


@pytest.mark.parametrize(
    ("settings", "latency_ms", "expected"),
    [
        (RewardSettings.hard(75.0), 75.0, 0.8),
        (RewardSettings.hard(75.0), 37.5, 0.8),  # faster than asked earns nothing
        (RewardSettings.hard(75.0), 150.0, 0.4),  # twice as slow halves it
        (RewardSettings.soft(75.0), 75.0, 0.8),
        (RewardSettings.soft(75.0), 150.0, 0.8 * 0.95264),  # 2^-0.07: about 5 % for a doubling
        (RewardSettings.soft(75.0), 37.5, 0.8 / 0.95264),
        (RewardSettings(target_ms=10.0, alpha=-0.5, beta=-2.0), 40.0, 0.8 / 16.0),
        (RewardSettings(target_ms=10.0, alpha=-0.5, beta=-2.0), 2.5, 0.8 * 2.0),
    ],
)
def test_reward_worked_out_by_hand(
    settings: RewardSettings, latency_ms: float, expected: float
) -> None:
    assert mnasnet_reward([0.8], [latency_ms], settings)[0] == pytest.approx(expected, rel=1e-5)


@given(st.tuples(LATENCY, LATENCY).map(sorted), LATENCY)
def test_slower_never_scores_higher(latencies_ms: list[float], target_ms: float) -> None:
    for settings in (RewardSettings.hard(target_ms), RewardSettings.soft(target_ms)):
        at_fast, at_slow = mnasnet_reward([0.7, 0.7], latencies_ms, settings)
        assert at_slow <= at_fast


@given(st.lists(LATENCY, min_size=2, max_size=9), LATENCY, LATENCY)
def test_the_target_of_the_soft_reward_only_rescales(
    latencies_ms: list[float], one_ms: float, other_ms: float
) -> None:
    accuracy = np.full(len(latencies_ms), 0.7)
    ratio = mnasnet_reward(accuracy, latencies_ms, RewardSettings.soft(one_ms)) / mnasnet_reward(
        accuracy, latencies_ms, RewardSettings.soft(other_ms)
    )
    assert ratio == pytest.approx(np.full(len(ratio), (other_ms / one_ms) ** -0.07), rel=1e-9)


@pytest.mark.parametrize(
    ("accuracy", "latency_ms", "message"),
    [
        ([0.5, 0.5], [1.0, 0.0], r"latency_ms must be positive and finite, got 0\.0 at index 1"),
        ([0.5], [float("nan")], "latency_ms must be positive"),
        ([0.5], [float("inf")], "latency_ms must be positive"),
        ([75.0], [1.0], r"accuracy must lie in \[0, 1\], got 75\.0 at index 0"),
        ([float("nan")], [1.0], "accuracy must lie"),
        ([0.5, 0.5], [1.0], "one shape"),
    ],
)
def test_wrong_arguments_are_named(
    accuracy: list[float], latency_ms: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mnasnet_reward(accuracy, latency_ms, RewardSettings.hard(75.0))


@pytest.mark.parametrize(
    "wrong", [{"target_ms": 0.0}, {"target_ms": float("nan")}, {"target_ms": 1.0, "beta": 0.5}]
)
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RewardSettings(**wrong)
