"""The phones' table of single operators on GPUs, as a device that knows no whole network."""

import ast
import csv
from collections.abc import Set
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np

from mnaslat.data import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors import CostModel

_MOST = 200  # operators in a fit
_OFFSET_MS = 0.5  # guessed for what only a whole network pays: the table has none of it


@cache
def _rows(folder: Path) -> list[tuple[str, Graph, dict[str, str]]]:
    """Model, operator and the cells of each row that can be written as an op of ours."""
    with open(folder / "tflite_cnn_ops_gpu.csv", newline="", encoding="utf-8") as file:
        found = [(row["model"], _signature(row), row) for row in csv.DictReader(file)]
    return [
        (model, Graph.parse(signature), row) for model, signature, row in found if signature != ""
    ]


def op_prior(folder: Path, configuration: Configuration, models: Set[str]) -> CostModel:
    """A model fitted to operators of some networks alone."""
    column = f"{configuration.device}|gpu|float"
    times: dict[str, list[float]] = {}
    graphs: dict[str, Graph] = {}
    for owner, graph, row in _rows(folder):
        if owner in models and row[column]:
            graphs[graph.signature] = graph
            times.setdefault(graph.signature, []).append(float(row[column]) / 1e3)
    order = np.random.default_rng(0).permutation(len(times))[:_MOST]
    chosen = [sorted(times)[index] for index in order]
    table = replace(configuration, fingerprint=f"{configuration.fingerprint}, operators")
    # Rough: an operator's time differs with what is merged into it.
    model = CostModel((), table, noise=0.1, misfit=1e-4, layer_misfit=1e-4)
    return model.fit(
        [graphs[signature] for signature in chosen],
        [median(times[signature]) + _OFFSET_MS for signature in chosen],
    )


def _signature(row: dict[str, str]) -> str:
    """Empty for operators without one: joins and paddings cost next to nothing there."""
    feature = ast.literal_eval(row["feature"])

    def number(name: str) -> int:
        text = str(feature.get(name, ""))
        return int(text) if text.isdigit() else 1

    pixels, channels = number("Input_shape"), number("Input_channel")
    image = f"fp32 {pixels}x{pixels}x{channels} "
    kernel, out = number("Kernel"), number("Output_shape")
    window = f"{kernel}x{kernel}" + (f"/{number('Stride')}" if number("Stride") > 1 else "")
    if out != -(-pixels // number("Stride")):
        window += "+0"  # no padding
    filters = number("Filter")
    signature = {
        "CONV_2D": f"{image}conv{window}>{filters}",
        "CONV_2D_GROUP": f"{image}conv{window}>{filters}%{number('Group')}",
        "DEPTHWISE_CONV_2D": f"{image}dwconv{window}",
        "MEAN": f"{image}mean",
        "FULLY_CONNECTED": f"fp32 {channels} linear>{filters}",
        "MAX_POOL_2D": f"{image}max_pool{window}",
        "AVERAGE_POOL_2D": f"{image}avg_pool{window}",
    }.get(row["operation"], "")
    return signature.replace("%1", "") if signature.endswith("%1") else signature
