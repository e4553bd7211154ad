"""Describes networks as the operations that a runtime executes."""

from mnaslat.graph.graph import Graph, LoweredLayer, chain
from mnaslat.graph.kinds import (
    PAIRED,
    VALID,
    WEIGHTED,
    Fused,
    Kind,
    Padding,
    Pair,
    Precision,
    Shape,
)
from mnaslat.graph.op import Op, ShapedOp

__all__ = [
    "PAIRED",
    "VALID",
    "WEIGHTED",
    "Fused",
    "Graph",
    "Kind",
    "LoweredLayer",
    "Op",
    "Padding",
    "Pair",
    "Precision",
    "Shape",
    "ShapedOp",
    "chain",
]
