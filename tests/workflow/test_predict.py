"""``predict_networks`` predicts architectures, graphs and torch modules."""

from typing import Any

import pytest
from torch import nn

import mnaslat
from mnaslat.errors import ArgumentError, ConfigurationMismatch
from mnaslat.predictors.network_predictor import NetworkPredictor
from tests.workflow.made_up_device import json_text

A1 = mnaslat.load_network("mnasnet-a1")


@pytest.fixture(scope="module")
def predictor() -> Any:
    """A phone that comes with mnaslat."""
    return mnaslat.load_predictor("pixel4-cpu1-fp32")


def test_predictions_come_with_an_interval_and_in_order(predictor: NetworkPredictor) -> None:
    small = mnaslat.load_network("mnasnet-small")
    large, less = mnaslat.predict_networks(predictor, [A1, mnaslat.lower(small)])
    assert large.predicted_ms == predictor.predict_ms(A1) > less.predicted_ms > 0
    assert large.low_ms is not None and large.high_ms is not None
    assert large.low_ms < large.predicted_ms < large.high_ms
    assert large.unknown == () and large.explanation is None
    assert len(repr(large)) < 200
    assert '"n_unknown": 0' in json_text(large)
    assert mnaslat.predict_networks(predictor, []) == []


def test_an_explanation_adds_up_and_is_a_table_in_a_notebook(predictor: NetworkPredictor) -> None:
    (found,) = mnaslat.predict_networks(predictor, [A1], explain=True)
    assert found.explanation is not None
    layers = found.explanation.layers
    assert sum(each.latency_ms for each in layers) == pytest.approx(found.predicted_ms)
    assert "<table>" in found.explanation._repr_html_()
    assert len(repr(found)) < 200 and len(repr(found.explanation)) < 200
    assert '"share"' in json_text(found)


def test_a_torch_module_is_predicted_through_its_graph(predictor: NetworkPredictor) -> None:
    module = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1))
    graph = mnaslat.graph_from_torch(module, (1, 3, 64, 64))
    (found,) = mnaslat.predict_networks(predictor, [graph])
    assert found.predicted_ms == predictor.predict_ms(graph)
    assert len(repr(graph)) < 200


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"networks": A1}, r"Write \[network\] for a single one"),
        ({"networks": ["mnasnet-a1"]}, "graphs or architectures, got a str"),
        ({"networks": [nn.Conv2d(3, 8, 3)]}, "graph_from_torch"),
        ({"predictor": "pixel4-cpu1-fp32"}, "load_predictor"),
    ],
    ids=["single", "name", "module", "predictor"],
)
def test_a_wrong_argument_is_named_with_what_would_be_right(
    predictor: NetworkPredictor, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says) as caught:
        mnaslat.predict_networks(**{"predictor": predictor, "networks": [A1], **wrong})
    assert [caught.value.argument] == list(wrong)


def test_another_precision_is_refused(predictor: NetworkPredictor) -> None:
    with pytest.raises(ConfigurationMismatch, match="int8"):
        mnaslat.predict_networks(predictor, [mnaslat.lower(A1, "int8")])
