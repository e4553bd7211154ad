"""Checks measured latencies before a predictor is fitted to them."""

import math
from collections.abc import Sequence

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.graph import Graph

_SAME = 1.5  # two measurements of one network agree within this factor
# Devices differ in speed. Beyond this factor, latencies are nearer to the expected ones if they are
# microseconds or seconds.
_OTHER_UNIT = math.sqrt(1000.0)


def merged(graphs: Sequence[Graph], latency_ms: Floats) -> tuple[list[Graph], Floats]:
    """Merge equal networks; their latency is the geometric mean, shape ``(networks,)``.

    Raises:
        ValueError: If the latencies of one network differ by more than half.
    """
    places: dict[str, list[int]] = {}
    for index, graph in enumerate(graphs):
        places.setdefault(graph.signature, []).append(index)
    merged = []
    for indices in places.values():
        found = latency_ms[indices]
        if found.max() > _SAME * found.min():
            raise ValueError(
                f"The networks at {', '.join(map(str, indices))} are the same, but took "
                f"{', '.join(f'{each:.4g}' for each in found)} ms. Measure again, or keep the one "
                "that is right."
            )
        # A single measurement stays exact, to the last digit.
        merged.append(float(found[0] if len(found) == 1 else np.exp(np.log(found).mean())))
    return [graphs[indices[0]] for indices in places.values()], np.array(merged)


def check_unit(
    measured_ms: Floats, expected_ms: Sequence[Floats], who: str, otherwise: str
) -> None:
    """Raise an error if latencies are probably not in milliseconds.

    Compares them with the median of several predictions: a slow device's milliseconds look like a
    fast phone's microseconds.

    Args:
        measured_ms: Shape ``(n,)``.
        expected_ms: One or more predictions, each of shape ``(n,)``.
        who: Names the predictions in the message: "the priors predict".
        otherwise: Advice in the message, if the latencies are right.

    Raises:
        ValueError: If they differ from the predictions by more than devices do.
    """
    factors = [float(np.median(np.log(measured_ms / each))) for each in expected_ms]
    factor = math.exp(float(np.median(factors)))
    if 1.0 / _OTHER_UNIT <= factor <= _OTHER_UNIT:
        return
    unit, times = ("microseconds", factor) if factor > 1 else ("seconds", 1.0 / factor)
    raise ValueError(
        f"Are these latencies in {unit}? They are about {times:.3g} times as "
        f"{'long' if factor > 1 else 'short'} as {who} in milliseconds. Give milliseconds; if they "
        f"are right, {otherwise}."
    )
