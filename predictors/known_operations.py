"""Finds the operations of a network that a predictor has never measured.

Their predicted cost is extrapolated, even if its terms occur in measured operations: a predictor
fitted to CNNs has measured dense layers and sigmoids, but not the matrix products and softmax of
attention.
"""

from collections.abc import Iterable

from mnaslat.graph import KINDS, Graph, LoweredLayer, ShapedOp


def operations_of(graphs: Iterable[Graph]) -> frozenset[str]:
    """Collect the classes of the ops of graphs, as ``unmet`` compares them."""
    return frozenset(_class(shaped) for graph in graphs for shaped in graph.shaped_ops())


def unmet(layer: LoweredLayer, met: frozenset[str]) -> tuple[str, ...]:
    """List a layer's ops that are not in ``met`` or have the kind ``unknown``, in order.

    >>> layer = Graph.parse("fp32 4x4x8 conv1x1>8 softmax").layers[0]
    >>> unmet(layer, operations_of([Graph.parse("fp32 4x4x8 conv3x3>8")]))
    ('softmax',)
    """
    return tuple(
        _name(shaped)
        for shaped in layer.shaped_ops
        if shaped.op.kind == "unknown"
        or not (KINDS[shaped.op.kind].cost == "free" or _class(shaped) in met)
    )


def unmet_places(graph: Graph, met: frozenset[str]) -> list[tuple[str, str]]:
    """List place and name of each op of a graph that ``unmet`` lists."""
    return [
        (place, name)
        for place, layer in zip(graph.places, graph.layers, strict=True)
        for name in unmet(layer, met)
    ]


def _class(shaped: ShapedOp) -> str:
    kind = shaped.op.kind
    if kind in ("conv", "conv_transpose") and shaped.op.groups > 1:
        return f"grouped {kind}"
    if kind == "linear" and len(shaped.inputs[0]) > 1:
        return "linear of several vectors"
    return KINDS[kind].alike or kind


def _name(shaped: ShapedOp) -> str:
    kind = shaped.op.kind
    if kind == "unknown":
        return shaped.op.name or kind
    if kind == "matmul":
        return "matmul of two activations"
    found = _class(shaped)
    return kind if KINDS[kind].alike else found
