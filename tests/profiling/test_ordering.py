"""Layers that are measured first cover the space in proportion to what they weigh in it."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.graph import Graph
from mnaslat.profiling.layer_order import most_useful_first

_OPS = ("conv1x1", "conv3x3", "conv3x3/2", "conv5x5")


def _signature(op: str, size: int, inputs: int, outputs: int) -> str:
    return f"fp32 {size}x{size}x{inputs} {op}>{outputs}:relu"


layers = st.builds(
    _signature,
    st.sampled_from(_OPS),
    st.sampled_from([4, 8]),
    st.integers(1, 40),
    st.integers(1, 40),
)
frequencies = st.dictionaries(layers, st.floats(1e-3, 10), max_size=40)


def _family(signature: str) -> tuple[str, str]:
    """What a layer is made of, whatever its channels: here its size and its one op."""
    _, shape, op = signature.split(" ")
    return shape.rsplit("x", 1)[0], op.split(">")[0]


@given(frequencies)
def test_every_layer_comes_exactly_once_and_always_in_the_same_order(
    expected: dict[str, float],
) -> None:
    ordered = most_useful_first(expected)
    assert sorted(ordered) == sorted(expected)
    assert most_useful_first(dict(expected)) == ordered


@given(frequencies)
def test_no_family_waits_while_another_has_more_than_its_share(expected: dict[str, float]) -> None:
    weights: Counter[tuple[str, str]] = Counter()
    for signature, frequency in expected.items():
        weight = frequency * math.sqrt(Graph.parse(signature).madds)
        weights[_family(signature)] += weight  # type: ignore[assignment]
    sizes = Counter(map(_family, expected))
    taken: Counter[tuple[str, str]] = Counter()
    for signature in most_useful_first(expected):
        taken[_family(signature)] += 1
        for waiting, weight in weights.items():
            if taken[waiting] < sizes[waiting]:
                share = weight / (taken[waiting] + 1)
                mine = _family(signature)
                assert weights[mine] / taken[mine] >= share * (1 - 1e-9)


@given(st.integers(2, 4), st.integers(2, 6))
def test_families_of_equal_weight_take_strict_turns(n_families: int, n_members: int) -> None:
    expected = {}
    for op in _OPS[:n_families]:
        for outputs in range(1, n_members + 1):
            signature = _signature(op, 8, 8, 8 * outputs)
            expected[signature] = 1.0 / math.sqrt(Graph.parse(signature).madds)
    ordered = most_useful_first(expected)
    for turn in range(n_members):
        front = ordered[turn * n_families : (turn + 1) * n_families]
        assert len(set(map(_family, front))) == n_families


def test_within_a_family_the_most_frequent_comes_first_and_then_the_farthest() -> None:
    expected = {_signature("conv1x1", 8, 8, outputs): 1.0 for outputs in (8, 9, 16, 32, 64)}
    expected[_signature("conv1x1", 8, 8, 9)] = 2.0
    outputs = [int(each.split(">")[1].split(":")[0]) for each in most_useful_first(expected)]
    # From 9 the farthest on a log scale is 64; then 32 and 16 are near one of both: 24 = sqrt(9*64)
    # is nearest to 32 (log 2) against 16 (log 16/9); then 16, then 8.
    assert outputs == [9, 64, 32, 16, 8]


@pytest.mark.parametrize("expected", [{}, {_signature("conv1x1", 8, 8, 8): 0.0}])
def test_none_and_one_layer_are_orders_too(expected: dict[str, float]) -> None:
    assert most_useful_first(expected) == list(expected)
