"""Draws the target of each episode, from one target or a range."""

import numpy as np

from mnaslat.arrays import Floats

TargetRange = tuple[float, float]

_BLOCK = 20  # episodes whose targets are spread evenly


def episode_targets_ms(range_ms: TargetRange, seed: int, first: int, n: int) -> Floats:
    """Draw the targets of episodes ``first`` .. ``first + n``, log-uniform, shape ``(n,)``.

    Every twenty episodes in a row have one in each twentieth of the range, in random order. An
    episode's target depends on the seed and its number alone.
    """
    low, high = range_ms
    if low == high:
        return np.full(n, low)
    blocks = range(first // _BLOCK, (first + n - 1) // _BLOCK + 1)
    draws = np.concatenate([_block_draws(seed, block) for block in blocks] or [np.empty(0)])
    begin = first - _BLOCK * blocks.start
    return np.asarray(low * (high / low) ** draws[begin : begin + n])


def _block_draws(seed: int, block: int) -> Floats:
    rng = np.random.default_rng([seed, 1, block])
    return np.asarray((rng.permutation(_BLOCK) + rng.random(_BLOCK)) / _BLOCK)


def spaced_targets_ms(range_ms: TargetRange, n: int) -> tuple[float, ...]:
    """Space the targets of the result: ``n`` from end to end in equal ratios, or the one target."""
    low, high = range_ms
    if low == high:
        return (low,)
    between = np.geomspace(low, high, n)[1:-1].tolist()
    return (low, *between, high)
