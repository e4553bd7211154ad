"""Lists the networks of a run, and chooses those to measure and the winners."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.arrays import Tokens
from mnaslat.search.decoder import Decoder
from mnaslat.search.latency.latencies import Latencies
from mnaslat.search.pareto import pareto_front
from mnaslat.search.reward import RewardSettings, mnasnet_reward
from mnaslat.search.run.expected_accuracy import expected_accuracies
from mnaslat.search.run.records import Evaluation, Validation
from mnaslat.search.tokens import TokenKey, tokens_text

# Networks that may be measured for being uncertain: those so far down are of no use to the search.
_N_PROMISING = 100


@dataclass(frozen=True, kw_only=True)
class EvaluatedCandidate:
    """A network of a run with what is known about it."""

    tokens: TokenKey
    architecture: Architecture
    accuracy: float  # observed
    expected_accuracy: float  # by all of the run together; as observed if the source is exact
    reward: float  # in the newest episode that proposed it
    predicted_ms: float  # without knowing the measurement, where there is one
    expected_ms: float  # what the reward was given: predicted_ms, or the end of its interval
    measured_ms: float | None = None

    @property
    def latency_ms(self) -> float:
        """Measured if it was, else what the reward was given."""
        return self.expected_ms if self.measured_ms is None else self.measured_ms

    def __repr__(self) -> str:
        """Show the accuracy and the latencies."""
        measured = "" if self.measured_ms is None else f", measured_ms={self.measured_ms:.4g}"
        return (
            f"Candidate(accuracy={self.accuracy:.4g}, predicted_ms={self.predicted_ms:.4g}"
            f"{measured}, tokens={self.tokens[:80]!r})"
        )

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "tokens": tokens_text(self.tokens),
            "blocks": [str(block) for block in self.architecture.blocks],
            "accuracy": self.accuracy,
            "expected_accuracy": self.expected_accuracy,
            "reward": self.reward,
            "predicted_ms": self.predicted_ms,
            "measured_ms": self.measured_ms,
        }


def candidates_of(
    evaluations: Sequence[Evaluation],
    validations: Sequence[Validation],
    decoder: Decoder,
    *,
    exact: bool,
) -> list[EvaluatedCandidate]:
    """List every network of a run that has an accuracy once, with its measurement if any.

    Args:
        evaluations: Of the run.
        validations: Of the run.
        decoder: Of the space that is searched.
        exact: Whether the accuracies have no noise.

    Returns:
        The one with the highest reward first.
    """
    # By network: other tokens can stand for the same one, where a small width makes choices equal.
    measured = {decoder.network(row.tokens): row for row in validations}
    newest = {decoder.network(row.tokens): row for row in evaluations if row.accuracy is not None}
    networks = sorted(newest, key=lambda network: -(newest[network].reward or 0.0))
    accuracies = np.array([newest[network].accuracy for network in networks], dtype=np.float64)
    if not exact:
        n_choices = decoder.space.n_choices
        tokens = [newest[network].tokens for network in networks]
        rows = np.array(tokens, dtype=np.int64).reshape(-1, len(n_choices))
        accuracies = expected_accuracies(rows, accuracies, n_choices)
    found = []
    for network, expected in zip(networks, accuracies.tolist(), strict=True):
        row = newest[network]
        assert row.accuracy is not None and row.reward is not None
        validation = measured.get(network)
        found.append(
            EvaluatedCandidate(
                tokens=row.tokens,
                architecture=network,
                accuracy=row.accuracy,
                expected_accuracy=expected,
                reward=row.reward,
                predicted_ms=row.predicted_ms if validation is None else validation.predicted_ms,
                expected_ms=row.latency_ms,
                measured_ms=None if validation is None else validation.measured_ms,
            )
        )
    return found


def choose_winner(
    candidates: Sequence[EvaluatedCandidate], target_ms: float, *, measured_only: bool
) -> EvaluatedCandidate:
    """Choose the most accurate candidate at or under the target, else the fastest.

    Of equally accurate ones the faster. With ``measured_only`` a network that was not measured is
    chosen only if none was.
    """
    measured = [candidate for candidate in candidates if candidate.measured_ms is not None]
    pool = measured if measured_only and measured else list(candidates)
    within = [candidate for candidate in pool if candidate.latency_ms <= target_ms]
    if within:
        return max(within, key=lambda each: (each.expected_accuracy, -each.latency_ms))
    return min(pool, key=lambda each: (each.latency_ms, -each.expected_accuracy))


def front_of(candidates: Sequence[EvaluatedCandidate]) -> tuple[EvaluatedCandidate, ...]:
    """Choose the Pareto front, fastest first."""
    indices = pareto_front(
        [candidate.expected_accuracy for candidate in candidates],
        [candidate.latency_ms for candidate in candidates],
    )
    return tuple(candidates[index] for index in indices)


def best_unmeasured(
    candidates: Sequence[EvaluatedCandidate],
    n: int,
    targets_ms: Sequence[float],
    reward: RewardSettings,
) -> list[EvaluatedCandidate]:
    """Choose up to ``n`` networks that were not measured, the best at each target in turn."""
    rankings = []
    open_ = [each for each in candidates if each.measured_ms is None]
    accuracy = [each.expected_accuracy for each in open_]
    latency_ms = [each.latency_ms for each in open_]
    for target_ms in _spread(targets_ms, n):
        worth = mnasnet_reward(accuracy, latency_ms, reward, target_ms)
        rankings.append([open_[index] for index in np.argsort(-worth, kind="stable")])
    return _in_turn(rankings, n)


def most_uncertain(
    candidates: Sequence[EvaluatedCandidate],
    n: int,
    latencies: Latencies,
    ruled_out: Iterable[TokenKey],
) -> list[EvaluatedCandidate]:
    """Choose up to ``n`` promising networks whose latency is the most uncertain.

    By the relative width of their intervals; where those say nothing, the networks that differ in
    most decisions from all that were measured (and are in ``ruled_out``, or chosen before them).
    """
    if n == 0:
        return []
    known = set(ruled_out)
    open_ = [each for each in candidates if each.measured_ms is None and each.tokens not in known]
    promising = sorted(open_, key=lambda each: -each.reward)[:_N_PROMISING]
    if not promising:
        return []
    rows = _rows(promising)
    width = latencies.relative_width(rows)
    if width is not None:
        return [promising[index] for index in np.argsort(-width, kind="stable")[:n]]
    near = _rows(
        [each for each in candidates if each.measured_ms is not None or each.tokens in known]
    )
    distance = np.full(len(rows), rows.shape[1] + 1)
    for row in near:
        distance = np.minimum(distance, (rows != row).sum(1))
    chosen = []
    for _ in range(min(n, len(promising))):
        index = int(distance.argmax())
        chosen.append(promising[index])
        distance = np.minimum(distance, (rows != rows[index]).sum(1))
        distance[index] = -1
    return chosen


def worth_measuring(
    candidates: Sequence[EvaluatedCandidate], targets_ms: Sequence[float], near: float, n: int
) -> list[EvaluatedCandidate]:
    """Choose up to ``n`` networks that were not measured and may win at one of the targets."""
    rankings = [_likely_answers(candidates, target_ms, near) for target_ms in targets_ms]
    return _in_turn(rankings, n)


def _likely_answers(
    candidates: Sequence[EvaluatedCandidate], target_ms: float, near: float
) -> list[EvaluatedCandidate]:
    """The most promising first."""
    open_ = [row for row in candidates if row.measured_ms is None]
    within = [
        row.expected_accuracy
        for row in candidates
        if row.measured_ms is not None and row.measured_ms <= target_ms
    ]
    likely = [row for row in open_ if row.predicted_ms <= target_ms * (1.0 + near)]
    if within:
        likely = [row for row in likely if row.expected_accuracy > max(within)]
    if likely or within:
        return sorted(likely, key=lambda row: (-row.expected_accuracy, row.predicted_ms))
    return sorted(open_, key=lambda row: row.predicted_ms)


def _in_turn(rankings: Sequence[Sequence[EvaluatedCandidate]], n: int) -> list[EvaluatedCandidate]:
    """Up to ``n`` different ones: the first of each ranking, then the second of each, ..."""
    chosen: dict[TokenKey, EvaluatedCandidate] = {}
    for place in range(max(map(len, rankings), default=0)):
        for ranking in rankings:
            if place < len(ranking) and len(chosen) < n:
                chosen.setdefault(ranking[place].tokens, ranking[place])
        if len(chosen) >= n:
            break
    return list(chosen.values())


def _spread(targets_ms: Sequence[float], n: int) -> list[float]:
    """At most ``n`` of the targets, from end to end."""
    if len(targets_ms) <= n:
        return list(targets_ms)
    places = np.linspace(0, len(targets_ms) - 1, n).round().astype(int)
    return [targets_ms[place] for place in places]


def _rows(candidates: Sequence[EvaluatedCandidate]) -> Tokens:
    return np.array([each.tokens for each in candidates], dtype=np.int64)
