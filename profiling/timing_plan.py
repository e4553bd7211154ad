"""Defines how long and how often models are timed."""

from dataclasses import dataclass

from mnaslat.data.convergence import LAYER_AGREEMENT


@dataclass(frozen=True, kw_only=True)
class TimingPlan:
    """The length of one round of a model, and the number of rounds.

    The estimate is the minimum over rounds that lie far apart in time; figures that led to these
    defaults are in ``docs/decisions.md``, "How long to measure".
    """

    round_ms: float = 120.0  # timed runs of one round last about this long
    n_windows: int = 4  # a round's runs come in so many windows, other models in between
    min_runs: int = 8  # even if a single run is slow
    max_runs: int = 3000  # tiny layers would otherwise fill the disk with runs
    warmup_ms: float = 5.0  # discarded: caches fill, pages are touched
    min_warmup_runs: int = 2
    n_rounds: int = 2  # of every model
    max_rounds: int = 5  # of a model whose rounds disagree
    agreement: float = LAYER_AGREEMENT  # two rounds that differ by less have converged
    resolution_ms: float = 0.0  # of the clock: a smaller difference means nothing
    timeout_s: float = 60.0  # a round that takes longer hangs

    def __post_init__(self) -> None:
        if self.round_ms <= 0 or self.warmup_ms < 0 or self.timeout_s <= 0:
            raise ValueError("round_ms and timeout_s must be positive, warmup_ms not negative.")
        if self.n_windows < 1:
            raise ValueError(f"n_windows must be at least 1, got {self.n_windows}.")
        if not 1 <= self.min_runs <= self.max_runs:
            raise ValueError(
                f"min_runs must lie in 1..max_runs, got {self.min_runs} and {self.max_runs}."
            )
        if not 1 <= self.n_rounds <= self.max_rounds:
            raise ValueError(
                f"n_rounds must lie in 1..max_rounds, got {self.n_rounds} and {self.max_rounds}."
            )
