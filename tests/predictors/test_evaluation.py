"""Errors of predictions, worked out by hand."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.graph import Graph
from mnaslat.predictors import CostModel, KernelModel
from mnaslat.predictors.estimator import Estimator
from mnaslat.predictors.evaluation import evaluate, prediction_errors
from tests.predictors.made_up_networks import made_up_ms, made_up_networks


def _array(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def test_errors_worked_out_by_hand() -> None:
    found = prediction_errors(_array(1.1, 1.8, 3.0, 5.0), _array(1.0, 2.0, 3.0, 4.0))
    # Relative: +0.1, -0.1, 0, +0.25.
    assert found.n == 4
    assert found.mape == pytest.approx(0.45 / 4, rel=1e-9)
    assert found.bias == pytest.approx(0.25 / 4, rel=1e-9)
    assert (found.within_5, found.within_10) == (0.25, 0.75)
    assert found.spearman == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("predicted_ms", "within_5", "within_10"),
    [(1.05, 1, 1), (0.95, 1, 1), (1.0501, 0, 1), (1.1, 0, 1), (0.9, 0, 1), (1.1001, 0, 0)],
)
@pytest.mark.parametrize("measured_ms", [1.0, 3.0, 100.0, 7e-3])
def test_the_bounds_are_within(
    predicted_ms: float, within_5: int, within_10: int, measured_ms: float
) -> None:
    found = prediction_errors(_array(predicted_ms * measured_ms), _array(measured_ms))
    assert (found.within_5, found.within_10) == (within_5, within_10)


def test_rank_correlation_by_hand() -> None:
    # Ranks 1 2 3 against 1 3 2: 1 - 6 * 2 / (3 * 8).
    found = prediction_errors(_array(1.0, 3.0, 2.0), _array(1.0, 2.0, 3.0))
    assert found.spearman == pytest.approx(0.5)


def test_there_is_no_rank_correlation_of_two_networks_or_of_equal_ones() -> None:
    assert math.isnan(prediction_errors(_array(1, 2), _array(1, 2)).spearman)
    assert math.isnan(prediction_errors(_array(1, 1, 1), _array(1, 2, 3)).spearman)


@given(st.lists(st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)), min_size=1, max_size=20))
def test_errors_do_not_depend_on_the_unit(pairs: list[tuple[float, float]]) -> None:
    predicted_ms, measured_ms = map(np.array, zip(*pairs, strict=True))
    in_ms = prediction_errors(predicted_ms, measured_ms)
    in_other = prediction_errors(predicted_ms * 4, measured_ms * 4)  # exact in floats
    assert in_ms == in_other or (math.isnan(in_ms.spearman) and math.isnan(in_other.spearman))
    assert abs(in_ms.bias) <= in_ms.mape + 1e-9
    assert in_ms.within_5 <= in_ms.within_10


@pytest.mark.parametrize(
    ("predicted_ms", "measured_ms", "reason"),
    [
        ((), (), "Shapes must agree"),
        ((1.0,), (1.0, 2.0), "Shapes must agree"),
        ((1.0,), (0.0,), "must be positive"),
        ((1.0,), (-1.0,), "must be positive"),
        ((1.0,), (math.nan,), "must be positive"),
        ((1.0,), (math.inf,), "must be positive"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    predicted_ms: tuple[float, ...], measured_ms: tuple[float, ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        prediction_errors(_array(*predicted_ms), _array(*measured_ms))


# --- held out, by fold and by family


def test_an_evaluation_by_hand() -> None:
    class Mean(Estimator):
        """Predicts the mean of what it was fitted to; the interval is half to twice that."""

        def fit(self, graphs: Sequence[Graph], latency_ms: np.ndarray) -> "Mean":
            self.mean_ms = float(np.mean(latency_ms))
            return self

        def predict(self, graphs: Sequence[Graph]) -> np.ndarray:
            return np.full(len(graphs), self.mean_ms)

        def predict_interval_ms(
            self, graphs: Sequence[Graph], coverage: float
        ) -> tuple[np.ndarray, np.ndarray]:
            return self.predict(graphs) / 2, self.predict(graphs) * 2

    graphs = [Graph.parse(f"fp32 8x8x8 conv1x1>{n}") for n in range(1, 5)]
    # Left out alone: the others' means are 7/3, 7/3, 7/3 and 1.
    found = evaluate(Mean(), graphs, [1.0, 1.0, 1.0, 5.0], ["a", "a", "b", "b"], n_folds=4)
    assert found.random.errors.mape == pytest.approx((3 * (4 / 3) + 4 / 5) / 4)
    assert found.random.coverage == 0.0  # 7/6 to 14/3, and 1/2 to 2
    assert found.random.half_width == pytest.approx(0.75)
    assert sorted(each.errors.mape for each in found.by_fold) == pytest.approx([0.8, *[4 / 3] * 3])
    # Family a is predicted by the mean of 1 and 5, family b by 1.
    assert found.new_family is not None
    assert found.by_family["a"].errors.mape == pytest.approx(2.0)
    assert found.by_family["b"].errors.mape == pytest.approx((0.0 + 0.8) / 2)
    assert found.by_family["b"].coverage == 0.5
    assert found.new_family.errors.n == 4
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["by_family"]["a"]["n"] == 2


def test_an_evaluation_is_of_the_arguments_and_leaves_the_model_alone() -> None:
    graphs, families = made_up_networks(30, seed=0)
    latency_ms = made_up_ms(graphs)
    model = CostModel().fit(graphs, 5.0 * latency_ms)
    before = model.predict(graphs)
    found = evaluate(model, graphs, latency_ms, families, n_folds=5, seed=3)
    assert model.predict(graphs).tolist() == before.tolist()
    assert found.random.errors.mape < 0.1 and found.random.errors.spearman > 0.95
    assert found.random.kendall > 0.85 and found.random.coverage > 0.7
    assert len(found.by_fold) == 5 and set(found.by_family) == set(families)
    again = evaluate(CostModel(), graphs, latency_ms, families, n_folds=5, seed=3)
    assert again == found
    assert evaluate(CostModel(), graphs, latency_ms, n_folds=5, seed=4).random != found.random


def test_without_intervals_or_families_that_part_is_left_open() -> None:
    layers = [Graph.parse(f"fp32 8x8x8 conv1x1>{8 * n}") for n in range(1, 21)]
    found = evaluate(KernelModel(), layers, np.arange(1.0, 21.0), n_folds=2)
    assert math.isnan(found.random.coverage) and math.isnan(found.random.half_width)
    assert found.new_family is None and found.by_family == {}
    assert found.random.to_json()["coverage"] is None


@pytest.mark.parametrize("n_folds", [0, 1, 31])
def test_folds_that_cannot_be_are_refused(n_folds: int) -> None:
    graphs, families = made_up_networks(30, seed=0)
    with pytest.raises(ValueError, match="n_folds must lie between 2 and"):
        evaluate(CostModel(), graphs, made_up_ms(graphs), families, n_folds=n_folds)


def test_families_and_latencies_must_be_as_many_as_networks() -> None:
    graphs, families = made_up_networks(30, seed=0)
    with pytest.raises(ValueError, match="Name a family for each of 30 networks, got 29"):
        evaluate(CostModel(), graphs, made_up_ms(graphs), families[1:])
    with pytest.raises(ValueError, match="one latency each, got 30 graphs"):
        evaluate(CostModel(), graphs, made_up_ms(graphs)[1:], families)
