"""Ranks timm's models by their latency on a phone: no phone, no weights, no conversion.

python examples/rank_timm_models.py
"""

from collections.abc import Sequence
from typing import Any

import timm

import mnaslat
from mnaslat.predictors import load_pretrained

MODELS = (
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mnasnet_100",
    "efficientnet_lite0",
    "ghostnet_100",
    "resnet18",
    "regnetx_004",
    "hardcorenas_a",
)


def ranking(
    predictor: Any, names: Sequence[str] = MODELS
) -> list[tuple[str, float, tuple[float, float]]]:
    """Name, milliseconds and 90 % interval of each model, the fastest first."""
    precision = predictor.configuration.precision
    rows = []
    for name in names:
        module = timm.create_model(name, pretrained=False).eval()
        graph = mnaslat.graph_from_torch(module, (1, 3, 224, 224), precision=precision)
        bounds = predictor.predict_interval_ms(graph, coverage=0.9)
        rows.append((name, predictor.predict_ms(graph), bounds))
    return sorted(rows, key=lambda row: row[1])


if __name__ == "__main__":
    for name, latency_ms, (low_ms, high_ms) in ranking(load_pretrained("pixel4-cpu1-fp32")):
        print(f"{name:24} {latency_ms:8.2f} ms   90 % within {low_ms:.2f} to {high_ms:.2f} ms")
