"""Measurements that were made elsewhere, checked before anything is learned from them."""

import math
from collections.abc import Sequence

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.graph import Graph

_SAME = 1.5  # two measurements of one network agree within this factor
# Devices differ in speed. Beyond this factor, latencies are nearer to what was expected if they
# were microseconds or seconds taken for milliseconds.
_OTHER_UNIT = math.sqrt(1000.0)


def merged(graphs: Sequence[Graph], latency_ms: Floats) -> tuple[list[Graph], Floats]:
    """Each network once, with the geometric mean of its latencies, shape ``(networks,)``.

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
        # What was measured once stays as it is, to the last digit.
        merged.append(float(found[0] if len(found) == 1 else np.exp(np.log(found).mean())))
    return [graphs[indices[0]] for indices in places.values()], np.array(merged)


def check_unit(
    measured_ms: Floats, expected_ms: Sequence[Floats], who: str, otherwise: str
) -> None:
    """Raise an error where latencies can hardly be in milliseconds.

    Judged by the middle one of those who expect something: the slowest device of several would let
    a fast phone's microseconds pass for its own milliseconds.

    Args:
        measured_ms: Shape ``(n,)``.
        expected_ms: What each of them expects, shape ``(n,)``.
        who: They are, for the message: "the priors predict".
        otherwise: What to do if the latencies are right, for the message.

    Raises:
        ValueError: If they are further off than devices are.
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
