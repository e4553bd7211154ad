"""How fast a compiled predictor is, and that it says what the predictor says."""

import time

import numpy as np
from _results import Result

import mnaslat
from mnaslat.data import Configuration, LatencyTable, Row
from mnaslat.predictors import CalibratedPredictor, Correction, CostModel, TablePredictor
from mnaslat.space import SearchSpace

# No sum: a likeness to every network that it was fitted to is computed for every prediction.
_TRIED = (
    "a likeness to each of 100 networks in every prediction; tried: terms and known networks that "
    "do not matter in the space left out, one matrix product in double precision for all "
    "likenesses, tables of parts merged; most of the rest is that product and the gathering of 75 "
    "terms"
)
_N_FAST, _N_MODEL, _N_SLOW = 500_000, 50_000, 1_000


def compiling() -> list[Result]:
    """Every latency is made up: neither speed nor agreement depends on it."""
    space = mnaslat.load_space("mnasnet")
    rng = np.random.default_rng(0)
    table = LatencyTable(
        Configuration(device="host", fingerprint="made-up CPU"),
        {each: Row(float(rng.uniform(0.1, 5.0))) for each in space.layer_frequencies("fp32")},
    )
    results = []
    for name, correction in (
        ("table", Correction("none", 1.0)),
        ("table and affine correction", Correction("affine", 1.06, 0.3)),
        ("table and memory correction", Correction("memory", 1.06, 0.0, 0.1, 0.2, 8.0)),
    ):
        predictor = CalibratedPredictor(TablePredictor(table))
        predictor.correction = correction
        results += _speed_and_agreement(name, predictor, space, _N_FAST)
    graphs = [mnaslat.lower(space.decode(row)) for row in space.sample(100, rng)]
    latency_ms = TablePredictor(table).predict_ms(graphs)
    for name, model, n, tried in (
        ("cost model of 100 networks", CostModel(), _N_MODEL, _TRIED),
        ("cost model of 100 networks, misfit=0", CostModel(misfit=0.0), _N_FAST, ""),
    ):
        model.fit(graphs, latency_ms)
        results += _speed_and_agreement(name, model, space, n, tried)
    return results


def _speed_and_agreement(
    name: str,
    predictor: CalibratedPredictor | CostModel,
    space: SearchSpace,
    n: int,
    tried: str = "",
) -> list[Result]:
    start = time.perf_counter()
    # A new object, so that its layers have to be listed.
    compiled = predictor.compile(mnaslat.load_space(space.name))
    compiling_s = time.perf_counter() - start
    rows = space.sample(n, np.random.default_rng(1))
    speeds = []
    for _ in range(20):
        start = time.perf_counter()
        compiled(rows)
        speeds.append(n / (time.perf_counter() - start))
    slow_ms = predictor.predict_ms([space.decode(row) for row in rows[:_N_SLOW]])
    difference = float(np.abs(compiled(rows[:_N_SLOW]) / slow_ms - 1.0).max())
    task = f"compile mnasnet, {name}"
    note = f"fastest of twenty; compiled in {compiling_s:.1f} s"
    if tried:
        note += f"; {tried}"
    metric = "largest relative difference from the slow way"
    return [
        Result(task, "networks/s on one core", max(speeds), 3e6, "higher", (1,), note),
        Result(task, metric, difference, 1e-6, "lower", (1,), f"{_N_SLOW} networks"),
    ]
