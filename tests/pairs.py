"""Parameters of which every pair of options meets each time, and every combination when asked."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import pytest

Pair = tuple[tuple[int, Any], tuple[int, Any]]


def in_pairs(*options: Sequence[Any]) -> list[Any]:
    """All combinations of the options; those that no pair needs are marked as slow.

    A mistake that one option or two together bring out is then found by each run of the tests.
    """
    needed = set(covering(*options))
    return [
        pytest.param(*each, marks=() if each in needed else pytest.mark.slow)
        for each in product(*options)
    ]


def covering(*options: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Few combinations in which any two options of two lists meet at least once."""
    everything = list(product(*options))
    missing = {pair for each in everything for pair in _pairs(each)}
    chosen = []
    while missing:
        best = max(everything, key=lambda each: len(missing & _pairs(each)))
        missing -= _pairs(best)
        chosen.append(best)
    return chosen


def _pairs(combination: tuple[Any, ...]) -> set[Pair]:
    return set(combinations(enumerate(combination), 2))
