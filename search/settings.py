"""Settings of a search: everything that, with the problem, decides its result."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from mnaslat.search.controllers.presets import preset
from mnaslat.search.reward import RewardSettings
from mnaslat.search.targets import TargetRange, spaced_targets_ms

# What the reward is given: the prediction, or the upper end of its interval.
LatencyKind = Literal["point", "upper"]
LATENCY_KINDS: tuple[str, ...] = get_args(LatencyKind)

# How long a run lasts, not what it is: it may be resumed with others.
_BUDGETS = ("n_samples", "max_time_s")


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """The settings of one run; a run folder belongs to one set of them, budgets aside.

    The target of ``reward``, or ``target_ms_range`` in its place, is also the limit that the result
    has to keep.
    """

    reward: RewardSettings
    # Every episode draws its own target from here, and the result has a winner at each of
    # ``n_targets`` from end to end; ``reward.target_ms`` is then not used.
    target_ms_range: TargetRange | None = None
    n_targets: int = 9
    searcher: str = "ppo"  # one of `searchers.registry.SEARCHERS`, checked when it is made
    preset: str = "fast"  # of the PPO searcher
    surrogate: bool = True  # let the PPO searcher learn from a model of the accuracies, if it can
    latency: LatencyKind = "point"
    n_samples: int = 8000  # evaluations: about as many as the paper's search
    max_time_s: float | None = None  # of searching, for one process; None: until n_samples
    seed: int = 0
    validate_every: int = 20  # rounds between two validations; only with a validator
    validate_top: int = 4  # networks measured in each for being the best so far
    validate_uncertain: int = 2  # and for being good and the least certain
    # At the end networks predicted this little above the target are measured too: the prediction
    # may be that wrong, and they may be more accurate.
    near_target: float = 0.02
    n_final_validations: int = 40  # at most, at the end

    def __post_init__(self) -> None:
        preset(self.preset)  # raises for a wrong name
        if self.latency not in LATENCY_KINDS:
            raise ValueError(f"latency must be one of {LATENCY_KINDS}, got {self.latency!r}.")
        for name in ("n_samples", "validate_every", "validate_top", "n_final_validations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.validate_uncertain < 0:
            raise ValueError(
                f"validate_uncertain must be 0 or positive, got {self.validate_uncertain}."
            )
        if not 0.0 <= self.near_target < 1.0:
            raise ValueError(f"near_target must lie in [0, 1), got {self.near_target}.")
        if self.max_time_s is not None and not 0.0 < self.max_time_s < math.inf:
            raise ValueError(f"max_time_s must be positive and finite, got {self.max_time_s}.")
        if self.target_ms_range is not None:
            self._check_range(*self.target_ms_range)

    def _check_range(self, low_ms: float, high_ms: float) -> None:
        if not 0.0 < low_ms < high_ms < math.inf:
            raise ValueError(
                f"target_ms_range needs two positive targets, the lower first, got {low_ms} and "
                f"{high_ms}."
            )
        if not self.reward.steers_to_target:
            raise ValueError(
                "With alpha equal to beta (the soft reward) a target has no influence, so a range "
                "of them is no use: take the hard reward."
            )
        if self.n_targets < 2:
            raise ValueError(f"n_targets must be at least 2, got {self.n_targets}.")

    @property
    def round_size(self) -> int:
        """Evaluations between two entries of the log.

        The plain PPO controller learns once from them.
        """
        return preset(self.preset).ppo.n_samples

    @property
    def n_rounds(self) -> int:
        """Rounds that ``n_samples`` networks make; the last may have fewer."""
        return math.ceil(self.n_samples / self.round_size)

    @property
    def target_range_ms(self) -> TargetRange:
        """From the lowest to the highest target; both the same where there is one."""
        return self.target_ms_range or (self.reward.target_ms, self.reward.target_ms)

    @property
    def targets_ms(self) -> tuple[float, ...]:
        """The targets at which the result names a winner, the lowest first."""
        return spaced_targets_ms(self.target_range_ms, self.n_targets)

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to be resumed."""
        return {name: value for name, value in asdict(self).items() if name not in _BUDGETS}
