"""Predictors are estimators to scikit-learn: over lists of graphs, with latencies as targets."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_regressor
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.measurement import Configuration
from mnaslat.errors import PredictorFileError
from mnaslat.graph import Graph
from mnaslat.predictors import CalibratedPredictor, CostModel, KernelModel, TablePredictor
from mnaslat.predictors.estimator import Estimator
from tests.predictors.made_up_networks import made_up_ms, made_up_networks

CONFIGURATION = Configuration(device="host", fingerprint="made-up CPU")
NETWORKS, _ = made_up_networks(45, seed=3)
LATENCY_MS = made_up_ms(NETWORKS)
LAYERS = list({layer: None for graph in NETWORKS for layer in graph.layer_graphs()})
LAYERS_MS = made_up_ms(LAYERS)


def _calibrated() -> CalibratedPredictor:
    table = TablePredictor(LatencyTable(CONFIGURATION, {})).fit(LAYERS, LAYERS_MS)
    return CalibratedPredictor(table)


ESTIMATORS: dict[str, tuple[Callable[[], Estimator], list[Graph], np.ndarray]] = {
    "kernel model": (KernelModel, LAYERS, LAYERS_MS),
    "table": (lambda: TablePredictor(LatencyTable(CONFIGURATION, {})), LAYERS, LAYERS_MS),
    "calibrated": (_calibrated, NETWORKS, LATENCY_MS),
    "cost model": (CostModel, NETWORKS, LATENCY_MS),
}


@pytest.fixture(params=list(ESTIMATORS))
def case(request: pytest.FixtureRequest) -> tuple[Estimator, list[Graph], np.ndarray]:
    make, graphs, latency_ms = ESTIMATORS[request.param]
    return make(), graphs, latency_ms


Case = tuple[Estimator, list[Graph], np.ndarray]


def test_fit_returns_the_estimator_and_predict_an_array(case: Case) -> None:
    estimator, graphs, latency_ms = case
    assert estimator.fit(graphs, latency_ms) is estimator
    predicted_ms = estimator.predict(graphs)
    assert predicted_ms.shape == latency_ms.shape and predicted_ms.dtype == np.float64
    assert estimator.score(graphs, latency_ms) > 0.9
    assert estimator.score(graphs, list(latency_ms)) <= 1.0


@pytest.mark.parametrize("latency_ms", [np.inf, np.nan])
def test_what_is_no_finite_latency_is_never_given_out(latency_ms: float) -> None:
    class Nonsense(Estimator):
        def predict(self, graphs: Sequence[Any]) -> np.ndarray:
            return np.full(len(graphs), latency_ms)

    for asked in (NETWORKS[0], NETWORKS[:2]):
        with pytest.raises(PredictorFileError, match="no finite latency for a network"):
            Nonsense().predict_ms(asked)


def test_a_clone_has_the_same_arguments_and_nothing_learned(case: Case) -> None:
    estimator, graphs, latency_ms = case
    fitted = estimator.fit(graphs, latency_ms)
    copy = clone(fitted)
    assert type(copy) is type(estimator) and copy is not fitted
    before, after = fitted.get_params(), copy.get_params()
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
    assert copy.fit(graphs, latency_ms).predict(graphs).tolist() == fitted.predict(graphs).tolist()


def test_cross_validation_runs_over_lists_of_graphs(case: Case) -> None:
    estimator, graphs, latency_ms = case
    assert is_regressor(estimator)
    folds = KFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(estimator, graphs, latency_ms, cv=folds)
    assert scores.shape == (3,) and (scores > 0.5).all()
    errors = cross_val_score(
        estimator, graphs, latency_ms, cv=3, scoring="neg_mean_absolute_percentage_error"
    )
    assert (errors < 0).all() and (errors > -0.5).all()


def test_parameters_are_set_by_name_and_unknown_ones_refused(case: Case) -> None:
    estimator, _, _ = case
    assert estimator.set_params(**estimator.get_params()) is estimator
    with pytest.raises(ValueError, match="has no parameter 'nonsense'; it has"):
        estimator.set_params(nonsense=1)


def test_a_grid_is_searched_and_priors_stay_fitted() -> None:
    prior = CostModel().fit(NETWORKS, made_up_ms(NETWORKS, device=1))
    grid = GridSearchCV(CostModel([prior]), {"misfit": [0.02, 0.05], "noise": [0.01, 0.03]}, cv=3)
    grid.fit(NETWORKS, LATENCY_MS)
    assert set(grid.best_params_) == {"misfit", "noise"}
    assert grid.best_estimator_.priors[0] is prior
    assert grid.predict(NETWORKS[:2]).shape == (2,)


def test_an_estimator_says_what_was_given_to_it() -> None:
    assert repr(CostModel()) == "CostModel()"
    assert repr(CostModel(misfit=0.1)) == "CostModel(misfit=0.1)"
    assert repr(KernelModel()) == "KernelModel()"
    assert "table=LatencyTable(0 layers, " in repr(_calibrated().base)


def test_the_score_by_hand() -> None:
    class Half(Estimator):
        def predict(self, graphs: object) -> np.ndarray:
            return np.array([1.0, 2.0, 3.0])

    # Deviations from the mean: 2, 0, 2 squared 4 + 0 + 4; misses 1, 2, 3 squared 1 + 4 + 9.
    assert Half().score([], [2.0, 4.0, 6.0]) == pytest.approx(1.0 - 14.0 / 8.0)


def test_scikit_learn_is_not_loaded_until_it_asks() -> None:
    code = "import sys, mnaslat.predictors; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"sklearn", "scipy", "torch", "xgboost"} & set(loaded)


# --- what fit means for a table, and for a correction of a cost model


def test_a_table_learns_layers_and_refuses_whole_networks() -> None:
    predictor = TablePredictor(LatencyTable(CONFIGURATION, {})).fit(LAYERS[:12], LAYERS_MS[:12])
    assert predictor.predict_ms(LAYERS[0]) == LAYERS_MS[0]
    assert len(predictor.table) == 0 and len(predictor.measured) == 12
    assert (
        predictor.fit(LAYERS[:8], 2.0 * LAYERS_MS[:8]).predict_ms(LAYERS[0]) == 2.0 * LAYERS_MS[0]
    )
    assert len(predictor.measured) == 8
    with pytest.raises(ValueError, match="holds single layers, but the graph at 1 has"):
        predictor.fit([LAYERS[0], NETWORKS[0]], [1.0, 2.0])


def test_a_correction_leaves_out_what_its_cost_model_has_seen() -> None:
    base = CostModel().fit(NETWORKS[:30], LATENCY_MS[:30])
    seen = CalibratedPredictor(base).fit(NETWORKS[:30], 2.0 * LATENCY_MS[:30])
    assert seen.correction.kind == "none" and seen.held_out is None
    assert seen.predict(NETWORKS).tolist() == base.predict(NETWORKS).tolist()
    assert seen.predict_interval_ms(NETWORKS[0]) == base.predict_interval_ms(NETWORKS[0])
    fresh = CalibratedPredictor(base).fit(NETWORKS, 2.0 * LATENCY_MS)
    assert len(fresh.networks) == 15 and fresh.held_out is not None and fresh.held_out.n == 15
    np.testing.assert_allclose(fresh.predict(NETWORKS), 2.0 * base.predict(NETWORKS), rtol=0.05)
    with pytest.raises(ValueError, match="was not made from a latency table"):
        _ = fresh.table
