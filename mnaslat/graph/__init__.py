"""Describes networks as the operations that a runtime executes."""

from mnaslat.graph.graph import Graph, LoweredLayer, chain
from mnaslat.graph.kinds import (
    KINDS,
    PAIRED,
    VALID,
    WEIGHTED,
    Fused,
    Kind,
    KindInfo,
    Padding,
    Pair,
    Precision,
    Shape,
)
from mnaslat.graph.op import Op, ShapedOp

__all__ = [
    "KINDS",
    "PAIRED",
    "VALID",
    "WEIGHTED",
    "Fused",
    "Graph",
    "Kind",
    "KindInfo",
    "LoweredLayer",
    "Op",
    "Padding",
    "Pair",
    "Precision",
    "Shape",
    "ShapedOp",
    "chain",
]
