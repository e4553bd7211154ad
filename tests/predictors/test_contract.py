"""What every predictor does: the contract of ``LatencyPredictor``."""

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mnaslat.architecture import Architecture
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.errors import ConfigurationMismatch
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.predictors.base import LatencyPredictor
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.cost_model.model import CostModel
from mnaslat.predictors.table.predictor import TablePredictor

CONFIGURATION = Configuration(device="host", fingerprint="made-up CPU")
NETWORKS = [
    Architecture.from_blocks(
        [f"r{n}_k3_s11_e1_i8_o8"], resolution=16, head_filters=16, n_classes=classes
    )
    for n in (1, 2, 3)
    for classes in (2, 3, 4)
]


# Of other widths, so that none is among the networks.
MEASURED = [lower(replace(network, n_classes=network.n_classes + 5)) for network in NETWORKS]


def _table() -> TablePredictor:
    signatures = sorted({each for network in NETWORKS for each in lower(network).layer_signatures})
    # The last one is left out: it is estimated.
    rows = {signature: Row(1.0 + n) for n, signature in enumerate(signatures[:-1])}
    rows |= {f"fp32 16x16x8 conv1x1>{8 * n}": Row(0.1 * n) for n in range(1, 9)}
    return TablePredictor(LatencyTable(CONFIGURATION, rows))


def _calibrated() -> CalibratedPredictor:
    base = _table()
    return CalibratedPredictor(base).fit(NETWORKS, 1.25 * base.predict_ms(NETWORKS))


def _cost_model() -> CostModel:
    return CostModel(configuration=CONFIGURATION).fit(NETWORKS, _table().predict_ms(NETWORKS))


def _calibrated_cost_model() -> CalibratedPredictor:
    base = CostModel(configuration=CONFIGURATION).fit(MEASURED, np.linspace(1.0, 2.0, 9))
    return CalibratedPredictor(base).fit(NETWORKS, 1.25 * base.predict_ms(NETWORKS))


@pytest.fixture(
    scope="module",
    params=[_table, _calibrated, _cost_model, _calibrated_cost_model],
    ids=["table", "calibrated", "cost model", "calibrated cost model"],
)
def predictor(request: pytest.FixtureRequest) -> LatencyPredictor:
    make: Callable[[], LatencyPredictor] = request.param
    return make()


def test_one_network_is_a_float_and_many_are_an_array(predictor: LatencyPredictor) -> None:
    many = predictor.predict_ms(NETWORKS)
    assert many.shape == (len(NETWORKS),) and many.dtype == np.float64
    assert predictor.predict_ms(tuple(NETWORKS)).tolist() == many.tolist()
    for network, expected_ms in zip(NETWORKS, many, strict=True):
        one = predictor.predict_ms(network)
        assert type(one) is float and one == pytest.approx(expected_ms, rel=1e-12)


def test_no_networks_are_an_empty_array(predictor: LatencyPredictor) -> None:
    assert predictor.predict_ms([]).shape == (0,)
    assert predictor.predict_detailed([]) == []


def test_architectures_and_graphs_and_signatures_agree(predictor: LatencyPredictor) -> None:
    graphs = [lower(network) for network in NETWORKS]
    parsed = [Graph.parse(graph.signature) for graph in graphs]
    expected = predictor.predict_ms(NETWORKS).tolist()
    assert predictor.predict_ms(graphs).tolist() == expected
    assert predictor.predict_ms(parsed).tolist() == expected


def test_the_long_answer_agrees_with_the_short_one(predictor: LatencyPredictor) -> None:
    found = predictor.predict_detailed(NETWORKS)
    assert [each.latency_ms for each in found] == predictor.predict_ms(NETWORKS).tolist()
    assert all(0 <= each.measured_share <= 1 for each in found)
    assert any(each.measured_share < 1 for each in found)


def test_latencies_are_positive(predictor: LatencyPredictor) -> None:
    assert (predictor.predict_ms(NETWORKS) > 0).all()


def test_a_graph_of_another_precision_is_refused(predictor: LatencyPredictor) -> None:
    with pytest.raises(ConfigurationMismatch, match=r"for fp32, but a graph is int8\. Lower it"):
        predictor.predict_ms(lower(NETWORKS[0], "int8"))
    with pytest.raises(ConfigurationMismatch):
        predictor.predict_detailed([NETWORKS[0], lower(NETWORKS[0], "fp16")])


def test_the_shape_that_scikit_learn_calls_is_the_same(predictor: LatencyPredictor) -> None:
    assert predictor.predict(NETWORKS).tolist() == predictor.predict_ms(NETWORKS).tolist()


def test_layers_add_up_to_the_prediction(predictor: LatencyPredictor) -> None:
    for network in NETWORKS:
        found = predictor.explain(network)
        assert found.latency_ms == predictor.predict_ms(network)
        assert sum(each.latency_ms for each in found.layers) == pytest.approx(
            found.latency_ms, rel=1e-12
        )
        assert [each.place for each in found.layers][: len(lower(network).places)] == list(
            lower(network).places
        )
        (detailed,) = predictor.predict_detailed([network])
        assert found.measured_share == pytest.approx(detailed.measured_share, abs=0.2)
        for each in found.layers:
            if each.low_ms is not None and each.high_ms is not None:
                assert each.low_ms <= each.latency_ms <= each.high_ms
        assert json.loads(json.dumps(found.to_json(), allow_nan=False))["layers"]
        assert len(str(found).splitlines()) == len(found.layers) + 1


@pytest.mark.parametrize("coverage", [0.0, 1.0, math.nan])
def test_an_explanation_refuses_a_coverage_that_is_no_fraction(
    predictor: LatencyPredictor, coverage: float
) -> None:
    with pytest.raises(ValueError, match="coverage must lie between 0 and 1"):
        predictor.explain(NETWORKS[0], coverage)


def test_something_that_is_no_network_is_refused(predictor: LatencyPredictor) -> None:
    with pytest.raises(ValueError, match="got a str. A torch module becomes one with"):
        predictor.predict(["mnasnet-a1"])  # type: ignore[list-item]
