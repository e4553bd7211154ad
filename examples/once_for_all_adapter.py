"""An adapter for a once-for-all-like space: each layer has its kernel and expansion, each stage its
depth; the dictionaries are those that such a supernet samples.

    python examples/once_for_all_adapter.py
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnaslat import Architecture, Block, Layer
from mnaslat.predictors import load_pretrained

STAGES = ((24, 2), (40, 2), (80, 2), (96, 1), (192, 2), (320, 1))  # ProxylessNAS: filters, stride
MAX_DEPTH = 4  # of all stages but the last, which has one layer


def architecture(subnet: Mapping[str, Sequence[int]], resolution: int = 224) -> Architecture:
    """The network of ``{"ks": kernels, "e": expansions, "d": depths}``; layers beyond a stage's
    depth are listed, but not there."""
    blocks, filters = [Block(first=Layer(input_filters=32, output_filters=16))], 16
    for stage, (output_filters, stride) in enumerate(STAGES):
        for number in range(subnet["d"][stage]):
            place = stage * MAX_DEPTH + number
            layer = Layer(
                kernel=subnet["ks"][place],
                expansion=subnet["e"][place],
                stride=1 if number else stride,
                input_filters=filters,
                output_filters=output_filters,
            )
            blocks.append(Block(first=layer))
            filters = output_filters
    return Architecture(blocks=tuple(blocks), resolution=resolution)


def sample(rng: np.random.Generator) -> dict[str, list[int]]:
    """A random network of the space."""
    n_layers = (len(STAGES) - 1) * MAX_DEPTH + 1
    depths = [*rng.integers(2, MAX_DEPTH + 1, len(STAGES) - 1).tolist(), 1]
    kernels, expansions = rng.choice([3, 5, 7], n_layers), rng.choice([3, 4, 6], n_layers)
    return {"ks": kernels.tolist(), "e": expansions.tolist(), "d": depths}


def fastest(predictor: Any, n: int = 200, seed: int = 0) -> tuple[dict[str, list[int]], float]:
    """The fastest of random networks, and its milliseconds."""
    rng = np.random.default_rng(seed)
    subnets = [sample(rng) for _ in range(n)]
    latency_ms = predictor.predict_ms([architecture(each) for each in subnets])
    best = int(np.argmin(latency_ms))
    return subnets[best], float(latency_ms[best])


if __name__ == "__main__":
    print(*fastest(load_pretrained("pixel4-cpu1-fp32")))
