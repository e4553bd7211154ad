"""Fit the shipped predictors: ``PYTHONPATH=benchmarks python benchmarks/_make_pretrained.py``.

Reads the phones' measurements (the first argument names their folder) and writes a file for each
phone, core set and precision to ``predictors/pretrained``. The networks come from pytorchcv where
it is installed; else from the file that an earlier run wrote. Takes five minutes.
"""

import gzip
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from _arrays import Floats
from _phones import DATA, Column, families_of, read_columns

import mnaslat
from mnaslat.graph import Graph
from mnaslat.predictors import CostModel, evaluate, measured_networks, save_predictor

OUTPUT = Path(__file__).resolve().parent.parent / "predictors" / "pretrained"
SEED = 0  # of the random folds
SOURCE = {
    "source": "github.com/qed-usc/mobile-ml-benchmark, "
    "commit 40ba833a9ca560a3035a76a5c3da504082dec001",
    "paper": "Li, Paolieri, Golubchik: A Benchmark for ML Inference Latency on Mobile Devices, "
    "EdgeSys 2024",
    "licence": "MIT",
    "copyright": "Copyright (c) 2024 Zhuojin",
    "architectures": "pytorchcv (MIT licence, copyright (c) 2018-2026 Oleg Sémery), 224 x 224",
}


def import_networks(names: list[str]) -> dict[str, Graph] | None:
    """Translate pytorchcv's networks; None where it is not installed."""
    try:
        from pytorchcv.model_provider import get_model  # type: ignore[import-not-found]
    except ImportError:
        return None
    return {name: mnaslat.graph_from_torch(get_model(name)) for name in names}


def write_networks(networks: dict[str, Graph]) -> None:
    """Write their signatures."""
    text = json.dumps({name: graph.signature for name, graph in networks.items()}, indent=0)
    # No time stamp: the same networks are the same file.
    packed = gzip.compress(text.encode(), mtime=0)
    (OUTPUT / "networks.json.gz").write_bytes(packed)


def _single(values: Floats) -> Floats:
    return values.astype(np.float32).astype(np.float64)


def shortened(model: CostModel) -> CostModel:
    """The same, with shares in single precision: a quarter less to ship, no prediction off by 1e-6.

    Everything that is computed from the shares starts from the rounded ones.
    """
    fit = model.state.fit
    fit = replace(fit, shares=_single(fit.shares), parts=_single(fit.parts))
    return CostModel.from_state(replace(model.state, fit=fit))


def fit_and_write(column: Column, networks: dict[str, Graph]) -> str:
    """Fit, judge and write one predictor; one line about it."""
    model, graphs = CostModel(configuration=column.configuration), column.graphs(networks)
    judged = evaluate(model, graphs, column.latency_ms, families_of(column.models), seed=SEED)
    assert judged.new_family is not None
    provenance: dict[str, Any] = {
        **SOURCE,
        "configuration": asdict(column.configuration),
        "networks": list(column.models),
        "held_out": {
            "what": "random: ten random parts, each predicted by a fit to the other nine; "
            "new_family: each family of networks predicted by a fit to all other families. mape "
            "and half_width are fractions of the latency; intervals are of 90 %.",
            "seed": SEED,
            "random": judged.random.to_json(),
            "new_family": judged.new_family.to_json(),
        },
        "made_by": f"mnaslat {mnaslat.__version__}, benchmarks/_make_pretrained.py",
    }
    path = OUTPUT / f"{column.name}.mnaslat"
    model.fit(graphs, column.latency_ms)
    small = shortened(model)
    small.held_out = model.held_out
    assert np.allclose(small.predict(graphs), model.predict(graphs), rtol=1e-6, atol=0.0)
    save_predictor(small, path, provenance=provenance, measurements=False)
    errors = judged.random.errors.mape, judged.new_family.errors.mape
    return f"{column.name:28} {errors[0]:6.2%} {errors[1]:6.2%} {path.stat().st_size / 1e3:5.0f} kB"


def main() -> None:
    """Write them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "phones_full_models"
    columns = read_columns(folder)
    OUTPUT.mkdir(exist_ok=True)
    names = sorted({model for column in columns.values() for model in column.models})
    imported = import_networks(names)
    if imported is not None:
        write_networks(imported)
    networks = measured_networks()
    for column in columns.values():
        print(fit_and_write(column, networks), flush=True)


if __name__ == "__main__":
    main()
