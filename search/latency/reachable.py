"""Finds the least and the largest latency of a space and checks targets against them."""

import numpy as np

from mnaslat.arrays import Tokens
from mnaslat.errors import SearchError
from mnaslat.search.latency.latencies import Latencies
from mnaslat.search.targets import TargetRange
from mnaslat.space import SearchSpace
from mnaslat.units import format_ms

_N_PROBES = 64  # random networks: if the target lies among them there is nothing to look for
_N_STARTS = 3
_MAX_SWEEPS = 4


def check_targets(range_ms: TargetRange, latencies: Latencies, space: SearchSpace) -> str:
    """Check that the space can reach a target or range; returns a note about it, mostly empty.

    Raises:
        SearchError: If no network is as fast as the (lower) target, by the predictor; says what
            the space can reach.
    """
    low, high = range_ms
    probes_ms = latencies.reward_ms(space.sample(_N_PROBES, np.random.default_rng(0)))
    if probes_ms.min() <= low and high <= probes_ms.max():
        return ""
    fastest_ms, slowest_ms = reachable_ms(latencies, space)
    reach = f"{latencies.what} it reaches from {fastest_ms:.3g} to {format_ms(slowest_ms)}"
    if low < fastest_ms:
        raise SearchError(
            f"No network of space {space.name} is as fast as {format_ms(low)}: by {reach}. "
            "Choose a target in between, or a smaller --width or "
            "--resolution."
        )
    if high > slowest_ms:
        return (
            f"Every network of space {space.name} is faster than {format_ms(high)} (by {reach}): "
            "that target rules nothing out."
        )
    return ""


def reachable_ms(latencies: Latencies, space: SearchSpace) -> TargetRange:
    """Find the latencies of about the fastest and the slowest network.

    Coordinate descent from random networks: exact where decisions add to the latency independently,
    and near it where they interact.
    """
    starts = space.sample(_N_STARTS, np.random.default_rng(0))
    fastest = min(_descend(row, latencies, space, 1.0) for row in starts)
    slowest = -min(_descend(row, latencies, space, -1.0) for row in starts)
    return fastest, slowest


def _descend(start: Tokens, latencies: Latencies, space: SearchSpace, sign: float) -> float:
    row, best = start.copy(), np.inf
    for _ in range(_MAX_SWEEPS):
        before = best
        for position, n_choices in enumerate(space.n_choices):
            tried = np.repeat(row[None], n_choices, axis=0)
            tried[:, position] = np.arange(n_choices)
            values = sign * latencies.reward_ms(tried)
            row = tried[int(values.argmin())]
            best = float(values.min())
        if best >= before:
            break
    return best
