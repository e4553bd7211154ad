"""Which operations a predictor has met."""

from dataclasses import replace

import pytest

from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors import CostModel, TablePredictor, load_pretrained
from mnaslat.predictors.known_operations import operations_of, unmet, unmet_places
from mnaslat.predictors.pretrained.library import measured_networks
from tests.predictors.made_up_networks import made_up_ms, made_up_networks

MET = operations_of([Graph.parse("fp32 8x8x3 pad+1 conv3x3+0>8 | hard_swish | global_pool")])


@pytest.mark.parametrize(
    ("ops", "names"),
    [
        ("conv1x1>8 relu6", ()),
        ("reshape=16x12", ()),
        ("conv3x3>6%3", ("grouped conv",)),
        ("sum=3", ()),
        ("gelu softmax", ("gelu", "softmax")),
        ("unknown.fft=8x8x3", ("fft",)),
        ("transpose=3x8x8 matmul=3x8x8@1,1", ("transpose", "matmul of two activations")),
    ],
)
def test_operations_are_met_by_what_they_compute(ops: str, names: tuple[str, ...]) -> None:
    assert unmet(Graph.parse(f"fp32 8x8x3 {ops}").layers[0], MET) == names


def test_places_are_named() -> None:
    graph = replace(Graph.parse("fp32 8x8x3 conv3x3>8 | gelu"), places=("stem", "body"))
    assert unmet_places(graph, MET) == [("body", "gelu")]


@pytest.mark.parametrize("name", ["pixel4-cpu1-fp32", "s10-cpu1-int8"])
def test_a_shipped_predictor_and_what_it_is_a_prior_of_know_its_networks(name: str) -> None:
    shipped = load_pretrained(name)
    expected = operations_of(measured_networks().values())
    assert shipped.met_operations == expected
    graphs, _ = made_up_networks(6, 0, shipped.configuration.precision)
    fitted = CostModel((shipped,)).fit(graphs, made_up_ms(graphs))
    assert fitted.met_operations == expected
    assert CostModel().fit(graphs, made_up_ms(graphs)).met_operations == operations_of(graphs)


def test_operations_met_are_known_without_the_networks() -> None:
    graphs, _ = made_up_networks(6, 0)
    learned = CostModel().fit(graphs, made_up_ms(graphs)).state
    assert CostModel.from_state(learned).met_operations == operations_of(graphs)


def test_a_table_knows_the_operations_of_its_layers() -> None:
    rows = {f"fp32 8x8x8 conv3x3>{8 * n}:relu": Row(1.0 + n) for n in range(1, 9)}
    table = LatencyTable(Configuration(device="made-up", fingerprint="made-up"), rows)
    graph = Graph.parse("fp32 8x8x8 conv3x3>8:relu | conv3x3>12 | softmax")
    found = TablePredictor(table).explain(graph).layers
    assert [each.source for each in found] == ["measured", "estimated", "unknown"]
    assert found[2].unknown == ("softmax",)
