"""A cost model's latency as a function of sums: its slopes, and what a space leaves out of it."""

import numpy as np
import pytest

from mnaslat.arrays import Floats
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.compiled.feature_function import NumericalFunction
from mnaslat.predictors.compiled.protocol import CompiledFunction
from mnaslat.predictors.cost_model.model import CostModel
from tests.predictors.additive_cases import (
    CORRECTIONS,
    Curved,
    all_rows,
    corrected,
    cost_model,
    slow_ms,
    small_space,
)

SMALL = small_space()
ROWS = all_rows(SMALL)
GRAPHS = [lower(SMALL.decode(row)) for row in ROWS]
# Nothing of them is in the small space: kernels of seven.
OTHERS = [Graph.parse(f"fp32 32x32x16 conv7x7>{8 * n} | dwconv7x7") for n in range(1, 9)]


def _with_priors(misfit: float = 0.05) -> CostModel:
    first = cost_model(SMALL)
    second = CostModel(misfit=misfit).fit(GRAPHS[1::20], 2.0 * Curved().predict_ms(GRAPHS[1::20]))
    priors = [first, second] if misfit else [second]
    return CostModel(priors, misfit=misfit).fit(GRAPHS[:9], 0.5 * Curved().predict_ms(GRAPHS[:9]))


def _elsewhere_too() -> CostModel:
    graphs = [*GRAPHS[::9], *OTHERS]
    return CostModel().fit(graphs, Curved().predict_ms(graphs))


MODELS = {
    "one fit": cost_model(SMALL),
    "with priors": _with_priors(),
    "without a misfit": _with_priors(misfit=0.0),
    "of other networks too": _elsewhere_too(),
}


def _function(predictor: CostModel | CalibratedPredictor) -> tuple[CompiledFunction, Floats]:
    """A function, and what it reads of every network of the small space."""
    features = predictor.additive_features(GRAPHS)
    function = predictor.feature_function(features.max(axis=0))
    return function, features[:, function.columns]


@pytest.mark.parametrize("name", MODELS)
def test_slopes_agree_with_finite_differences(name: str) -> None:
    function, features = _function(MODELS[name])
    slopes = function.slopes(features)
    assert slopes.shape == features.shape
    for column in range(features.shape[1]):
        some = features[:, column] > 1e-3 * features[:, 0]
        above, below = features[some].copy(), features[some].copy()
        step = 1e-5 * features[some, column]
        above[:, column] += step
        below[:, column] -= step
        change_ms = function.latency_ms(above) - function.latency_ms(below)
        expected = change_ms / (2.0 * step)
        np.testing.assert_allclose(slopes[some, column], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", CORRECTIONS)
def test_slopes_of_a_corrected_model_agree_with_finite_differences(name: str) -> None:
    predictor = CalibratedPredictor(MODELS["one fit"])
    predictor.correction = CORRECTIONS[name]
    function, features = _function(predictor)
    whole = predictor.additive_features(GRAPHS)
    numerical = NumericalFunction(predictor, whole.max(axis=0))
    expected = numerical.slopes(whole)[:, function.columns]
    often = (features > 1e-3 * features[:, :1]) & (features > 0)
    found = function.slopes(features)
    np.testing.assert_allclose(found[often], expected[often], rtol=1e-2, atol=1e-3)


def test_a_correction_has_the_slope_of_its_lower_bound_where_that_holds() -> None:
    predictor = corrected(SMALL, "affine, at its lower bound")
    base_ms = predictor.base.predict(GRAPHS)
    bounded = predictor.predict(GRAPHS) == 0.05 * base_ms
    slopes = predictor.correction.slopes(base_ms, np.zeros((len(GRAPHS), 2)))
    assert slopes[:, 0].tolist() == np.where(bounded, 0.05, 1.0).tolist()


def test_a_term_that_a_network_has_none_of_has_a_finite_slope() -> None:
    function, features = _function(MODELS["one fit"])
    assert (features == 0).any()
    assert np.isfinite(function.slopes(features)).all()


@pytest.mark.parametrize("name", MODELS)
def test_what_is_compiled_says_what_the_model_says(name: str) -> None:
    found_ms = MODELS[name].compile(SMALL)(ROWS)
    np.testing.assert_allclose(found_ms, slow_ms(MODELS[name], SMALL, ROWS), rtol=1e-9)


def test_terms_that_a_space_never_has_are_not_read() -> None:
    model = MODELS["of other networks too"]
    n_features = model.additive_features(GRAPHS[:1]).shape[1]
    function, features = _function(model)
    assert len(function.columns) < n_features
    assert (features.max(axis=0) > 0).all()


def test_without_a_misfit_two_sums_a_fit_are_all_that_is_read() -> None:
    function, _ = _function(MODELS["without a misfit"])
    assert function.columns.tolist() == [0, 1, 2, 3]


def test_what_is_fitted_later_does_not_change_a_function() -> None:
    model = cost_model(SMALL)
    function, features = _function(model)
    before_ms = function.latency_ms(features)
    model.fit(GRAPHS[::3], 3.0 * Curved().predict_ms(GRAPHS[::3]))
    assert function.latency_ms(features).tolist() == before_ms.tolist()
