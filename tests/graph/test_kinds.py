import math
from typing import get_args

import pytest

from mnaslat.graph import KINDS, VALID, Kind, Op, ShapedOp
from mnaslat.graph.kinds import FUSED, IMAGE, PAIRED, WEIGHTED, WINDOWED


def test_every_kind_has_a_row() -> None:
    assert list(KINDS) == list(get_args(Kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_contradict_itself(kind: str) -> None:
    info = KINDS[kind]
    assert info.windowed or not info.dilated
    assert info.windowed or info.outside_image is None
    assert not info.paired or info.n_inputs == 2
    assert info.cost_name or info.cost in ("weighted", "free")
    assert not info.weighted or info.cost == "weighted"
    assert not info.alike or info.alike in KINDS or info.alike == "clip"


def test_the_sets_of_kinds_are_those_of_the_table() -> None:
    assert WEIGHTED == {"conv", "dwconv", "linear", "conv_transpose"}
    assert PAIRED == {"add", "sub", "mul", "div", "maximum", "minimum"}
    assert WINDOWED == {"conv", "dwconv", "conv_transpose", "avg_pool", "max_pool"}
    assert IMAGE == WINDOWED | {"mean", "global_pool", "pad", "sum", "reduce_max"}
    assert FUSED - {""} < KINDS.keys()


@pytest.mark.parametrize("kind", sorted(WINDOWED))
def test_what_lies_outside_an_image_does_not_change_what_is_computed(kind: Kind) -> None:
    """SAME padding reads nothing of a maximum, zeros of a product; of an average it depends."""
    expected = {"conv": 0.0, "dwconv": 0.0, "max_pool": -math.inf}
    assert KINDS[kind].outside_image == expected.get(kind)


@pytest.mark.parametrize("kind", sorted(WEIGHTED))
def test_weighted_kinds_have_weights_and_multiply(kind: Kind) -> None:
    filters = 8 if KINDS[kind].filters == "must" else 0
    op = Op(kind=kind, inputs=(0,), filters=filters, padding=VALID if KINDS[kind].windowed else "")
    shape = (4, 4, 8) if KINDS[kind].windowed else (8,)
    shaped = ShapedOp(op=op, inputs=(shape,), output=op.output_shape([shape]))
    assert shaped.weight_shape and shaped.madds > 0
