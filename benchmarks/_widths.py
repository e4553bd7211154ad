"""Published networks made as slow as another: their width is found by measuring."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

import mnaslat
from mnaslat import Architecture

_WIDTHS = np.arange(0.1, 1.5, 0.01).round(2)
_N_NEIGHBOURS = 2  # more filters can be faster: the steps beside the one found are measured too


@dataclass(frozen=True)
class Scaled:
    """A published network at one width."""

    name: str  # as `mnaslat.load_network` takes it
    architecture: Architecture


def widths_of(name: str, resolution: int, n_classes: int) -> list[Scaled]:
    """A published network at every width that gives another one, the smallest first.

    Above width 1 its head stays, as at the others: what is compared are the blocks.
    """
    base = mnaslat.load_network(name)
    found: dict[Architecture, Scaled] = {}
    for width in _WIDTHS.tolist():
        network = replace(base.scaled(width), resolution=resolution, n_classes=n_classes)
        found.setdefault(network, Scaled(f"{name}@{width:g}", network))
    return list(found.values())


def nearest_not_faster(
    candidates: Sequence[Scaled],
    latency_ms: float,
    measure: Callable[[Sequence[Architecture]], Sequence[float]],
) -> Scaled:
    """The fastest candidate that takes ``latency_ms`` or longer.

    Bisects, then looks at the neighbours: filters come in eights, so none takes exactly as long.

    Args:
        candidates: The smallest first.
        latency_ms: To be matched.
        measure: Latencies in milliseconds of the networks given.

    Raises:
        ValueError: If all are faster.
    """
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if measure([candidates[middle].architecture])[0] < latency_ms:
            low = middle + 1
        else:
            high = middle
    near = candidates[max(0, low - _N_NEIGHBOURS) : low + _N_NEIGHBOURS + 1]
    measured_ms = measure([each.architecture for each in near])
    slower = [
        (found_ms, number) for number, found_ms in enumerate(measured_ms) if found_ms >= latency_ms
    ]
    if not slower:
        raise ValueError(f"All {len(candidates)} widths are faster than {latency_ms} ms.")
    return near[min(slower)[1]]
