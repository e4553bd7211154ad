"""Orders layers by usefulness, for when there is no time to measure all of them."""

from collections.abc import Mapping

import numpy as np

from mnaslat.graph import Graph


def most_useful_first(frequencies: Mapping[str, float]) -> list[str]:
    """Order layers so that any number of them from the front covers the space well.

    Layers are grouped by their operations, without their channels. Groups take turns in
    proportion to how often they occur in a random network and to what they cost there, so that a
    light group may wait long; within a group the layers come in an order that spreads over the
    channel counts. A kernel model learned from the front then has to bridge small gaps only.

    Args:
        frequencies: Expected number of occurrences in a random network, by layer signature.
    """
    groups: dict[str, list[str]] = {}
    graphs = {signature: Graph.parse(signature) for signature in frequencies}
    for signature, graph in graphs.items():
        groups.setdefault(_family(graph), []).append(signature)
    queues = {name: _spread(members, graphs, frequencies) for name, members in groups.items()}
    # A layer's share of a network's time is not known before measuring; the square root of its
    # multiply-adds is a cautious stand-in.
    weights = {
        name: sum(frequencies[each] * max(graphs[each].madds, 1) ** 0.5 for each in members)
        for name, members in groups.items()
    }
    ordered: list[str] = []
    taken = dict.fromkeys(queues, 0)
    while queues:
        name = max(queues, key=lambda each: weights[each] / (taken[each] + 1))
        ordered.append(queues[name].pop(0))
        taken[name] += 1
        if not queues[name]:
            del queues[name]
    return ordered


def _family(graph: Graph) -> str:
    """The signature without its channel counts."""
    layer = graph.layers[0]
    ops = " ".join(op.text(number).partition(">")[0] for number, op in enumerate(layer.ops, 1))
    return f"{layer.input_shape[:-1]} {ops}"


def _spread(
    members: list[str], graphs: Mapping[str, Graph], frequencies: Mapping[str, float]
) -> list[str]:
    """The most frequent first, then always the one farthest from those already taken."""
    points = np.array(
        [
            [np.log(graphs[each].input_shape[-1]), np.log(graphs[each].output_shape[-1])]
            for each in members
        ]
    )
    first = max(range(len(members)), key=lambda index: frequencies[members[index]])
    order, distance = [first], np.full(len(members), np.inf)
    while len(order) < len(members):
        distance = np.minimum(distance, np.abs(points - points[order[-1]]).sum(axis=1))
        distance[order] = -1.0
        order.append(int(distance.argmax()))
    return [members[index] for index in order]
