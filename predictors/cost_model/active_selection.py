"""Chooses the networks to measure next: those that reduce the variance of all others most."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats

Rows = NDArray[np.intp] | slice

_MAX_TARGETS = 1000  # networks whose variance is summed; more only take longer


def choose_networks(
    covariance: Callable[[Rows, Rows], Floats],
    variance: Floats,
    n: int,
    noise: float,
    excluded: NDArray[np.bool_],
    on_chosen: Callable[[int], None] = lambda n_chosen: None,
) -> list[int]:
    """Choose networks to measure, each the one that reduces the summed variance most.

    Greedy minimisation of the summed variance of all networks. Measuring j reduces it by
    sum_i cov(i, j)^2 / (cov(j, j) + noise^2).

    Args:
        covariance: Posterior covariance of the log latencies of two sets of candidates.
        variance: Posterior variance of each candidate, shape ``(candidates,)``.
        n: Number of networks; fewer are chosen if there are fewer.
        noise: Standard deviation of a measurement's log latency.
        excluded: Candidates that must not be chosen, shape ``(candidates,)``.
        on_chosen: Called after each choice with the number of networks chosen so far.
    """
    step = -(-len(variance) // _MAX_TARGETS)
    everything = slice(None)
    of_targets = covariance(slice(None, None, step), everything)
    open_ = ~excluded
    moves: list[Floats] = []  # change of all candidates per standard deviation of each measurement
    chosen: list[int] = []
    for _ in range(min(n, int(open_.sum()))):
        gain = np.square(of_targets).sum(axis=0) / (np.maximum(variance, 0.0) + noise**2)
        best = int(np.argmax(np.where(open_, gain, -1.0)))
        chosen.append(best)
        open_[best] = False
        column = covariance(everything, slice(best, best + 1))[:, 0]
        for earlier in moves:
            column = column - earlier * earlier[best]
        moved = column / np.sqrt(max(float(column[best]), 0.0) + noise**2)
        moves.append(moved)
        of_targets = of_targets - np.outer(moved[::step], moved)
        variance = variance - np.square(moved)
        on_chosen(len(chosen))
    return chosen


def measured_before(digests: Sequence[str], seen: frozenset[str]) -> NDArray[np.bool_]:
    """Mark networks that were measured before, and all but the first of equal networks."""
    excluded = np.zeros(len(digests), dtype=np.bool_)
    met = set(seen)
    for index, digest in enumerate(digests):
        excluded[index] = digest in met
        met.add(digest)
    return excluded
