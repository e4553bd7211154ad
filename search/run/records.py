"""Holds the rows of a run's store as plain data."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mnaslat.search.tokens import TokenKey


@dataclass(frozen=True)
class Evaluation:
    """One proposed network with its accuracy, latency and reward."""

    round: int
    index_in_round: int
    tokens: TokenKey
    target_ms: float  # of this episode
    accuracy: float | None  # None: the evaluation failed
    # By the newest calibration, as is the reward: rewritten when past rewards are rescored.
    predicted_ms: float
    latency_ms: float  # that the reward was given: predicted_ms, or the end of its interval
    reward: float | None  # of accuracy, latency_ms and target_ms


@dataclass(frozen=True)
class Validation:
    """One network measured on the device."""

    tokens: TokenKey
    round: int  # after which it was measured; above the last one: at the end
    predicted_ms: float  # before the measurement was known
    measured_ms: float
    predicted_after_ms: float  # after the re-calibration
    why: str = "best"  # or "uncertain", or "answer": it may be the answer


def validation_errors(validations: Sequence[Validation]) -> tuple[float, float]:
    """Compute the median errors of predictions, before and after re-calibration.

    As fractions of the measurement. Medians, so that one unusual network does not move the figure.

    Raises:
        ValueError: If there are no validations.
    """
    before = [abs(row.predicted_ms / row.measured_ms - 1.0) for row in validations]
    after = [abs(row.predicted_after_ms / row.measured_ms - 1.0) for row in validations]
    return statistics.median(before), statistics.median(after)


@dataclass(frozen=True, kw_only=True)
class RoundRecord:
    """One line of the run's log."""

    round: int
    n_new: int  # networks that the accuracy source evaluated; the others were known
    n_failed: int  # of all in the round
    mean_reward: float | None  # of the networks of this round that have an accuracy, if any
    best_reward: float | None
    searcher_s: float  # spent on proposing and learning
    seconds: float  # of the whole round, evaluations included
    log: Mapping[str, float] = field(default_factory=dict)  # the searcher's own figures
