"""A timing plan says what would have been right."""

import pytest

from mnaslat.profiling.host.device import LAYERS, NETWORKS
from mnaslat.profiling.timing_plan import TimingPlan


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"round_ms": 0.0}, "round_ms and timeout_s must be positive"),
        ({"timeout_s": -1.0}, "round_ms and timeout_s must be positive"),
        ({"warmup_ms": -1.0}, "warmup_ms not negative"),
        ({"min_runs": 0}, r"min_runs must lie in 1\.\.max_runs, got 0 and 3000"),
        ({"min_runs": 9, "max_runs": 8}, r"min_runs must lie in 1\.\.max_runs, got 9 and 8"),
        ({"n_rounds": 0}, r"n_rounds must lie in 1\.\.max_rounds, got 0 and 5"),
        ({"n_rounds": 6}, r"n_rounds must lie in 1\.\.max_rounds, got 6 and 5"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(settings: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        TimingPlan(**settings)  # type: ignore[arg-type]


def test_the_plans_in_use_have_rounds_far_apart_to_compare() -> None:
    assert LAYERS.n_rounds >= 2 and NETWORKS.n_rounds >= 2
