"""Networks and devices that do not exist, with latencies that follow from the ops."""

import numpy as np
from numpy.typing import NDArray

from mnaslat.graph import Graph
from mnaslat.predictors.cost_model.term_matrix import TermMatrixBuilder

FAMILIES = ("plain", "separable", "inverted")


def made_up_networks(n: int, seed: int, precision: str = "fp32") -> tuple[list[Graph], list[str]]:
    """Small networks of three families, all different."""
    rng = np.random.default_rng(seed)
    found: dict[str, str] = {}
    while len(found) < n:
        family = FAMILIES[len(found) % 3]
        channels = 8 * int(rng.integers(1, 4))
        layers = [f"conv3x3/2>{channels}:relu"]
        for _ in range(int(rng.integers(2, 6))):
            kernel, stride = int(rng.choice([3, 5])), str(rng.choice(["", "/2"]))
            window, channels = f"{kernel}x{kernel}{stride}", 8 * int(rng.integers(1, 9))
            expansion = channels * int(rng.choice([3, 6]))
            layers.append(
                {
                    "plain": f"conv{window}>{channels}:relu",
                    "separable": f"dwconv{window}:relu conv1x1>{channels}",
                    "inverted": f"conv1x1>{expansion}:relu dwconv{window}:relu conv1x1>{channels}",
                }[family]
            )
        found[f"{precision} 64x64x3 " + " | ".join([*layers, "global_pool", "linear>10"])] = family
    return [Graph.parse(signature) for signature in found], list(found.values())


def made_up_ms(
    graphs: list[Graph], *, device: int = 0, slowness: float = 1.0
) -> NDArray[np.float64]:
    """Latencies on a device whose unit costs differ from the guesses, the same for one number."""
    builder = TermMatrixBuilder("cpu", graphs[0].precision)
    rows = builder.compose(graphs).term_matrix
    numbers = np.array([sum(map(ord, "".join(term))) for term in builder.terms], dtype=np.float64)
    # What all devices have in common, and how this one differs.
    factors = (1.0 + 0.6 * np.sin(numbers)) * (1.0 + 0.2 * np.sin(7.0 * device + 3.0 * numbers))
    latency_ms: NDArray[np.float64] = slowness * rows @ factors
    return latency_ms
