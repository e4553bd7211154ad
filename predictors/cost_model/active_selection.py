"""Which networks to measure next: those that leave the least doubt about all others."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats

Rows = NDArray[np.intp] | slice

_MAX_TARGETS = 1000  # networks whose doubt is counted; more would only take longer


def choose_networks(
    covariance: Callable[[Rows, Rows], Floats],
    variance: Floats,
    n: int,
    noise: float,
    excluded: NDArray[np.bool_],
) -> list[int]:
    """Networks to measure, one after another, each the one that takes away most variance.

    Greedy minimisation of the summed variance of all networks: what is gained by measuring j is
    sum_i cov(i, j)^2 / (cov(j, j) + noise^2).

    Args:
        covariance: Of the log latencies of two sets of candidates, given what is known.
        variance: ``covariance`` of each with itself, shape ``(candidates,)``.
        n: At most so many.
        noise: Deviation of a measurement's log latency.
        excluded: Whether one must not be chosen, shape ``(candidates,)``.
    """
    step = -(-len(variance) // _MAX_TARGETS)
    everything = slice(None)
    of_targets = covariance(slice(None, None, step), everything)
    open_ = ~excluded
    moves: list[Floats] = []  # how each measurement moves all candidates, in its own deviations
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
    return chosen


def measured_before(digests: Sequence[str], seen: frozenset[str]) -> NDArray[np.bool_]:
    """Which networks are not to be measured: those seen, and all but the first of equal ones."""
    excluded = np.zeros(len(digests), dtype=np.bool_)
    met = set(seen)
    for index, digest in enumerate(digests):
        excluded[index] = digest in met
        met.add(digest)
    return excluded
