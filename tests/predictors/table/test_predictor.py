"""The sum of a network's layers: what is not in the table is estimated and said, never skipped."""

from collections.abc import Sequence

import numpy as np
import pytest

from mnaslat.architecture import Architecture
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.errors import ConfigurationMismatch
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.predictors.table.kernel_model import KernelModel
from mnaslat.predictors.table.predictor import TablePredictor

CONFIGURATION = Configuration(device="host", fingerprint="made-up CPU")
NETWORK = Architecture.from_blocks(
    ["r2_k3_s11_e1_i8_o8", "r1_k3_s22_e3_i8_o16"], resolution=16, head_filters=16, n_classes=2
)
SIGNATURES = lower(NETWORK).layer_signatures
# stem, first block twice (the same signature), second block, head
LATENCY_MS = {SIGNATURES[0]: 1.0, SIGNATURES[1]: 2.0, SIGNATURES[3]: 4.0, SIGNATURES[4]: 8.0}


class FlatPrice(KernelModel):
    """Stands for a kernel model: every layer costs 5 ms. Counts how many it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def predict(self, graphs: Sequence[Graph]) -> np.ndarray:
        self.asked += [layer.signature for layer in graphs]
        return np.full(len(graphs), 5.0)


def _predictor(*absent: str) -> TablePredictor:
    rows = {name: Row(latency_ms) for name, latency_ms in LATENCY_MS.items() if name not in absent}
    return TablePredictor(LatencyTable(CONFIGURATION, rows), FlatPrice())


def test_the_sum_by_hand() -> None:
    (found,) = _predictor().predict_detailed([NETWORK])
    assert (found.latency_ms, found.measured_share) == (1.0 + 2 * 2.0 + 4.0 + 8.0, 1.0)


def test_a_layer_outside_the_table_is_priced_and_said_to_be_estimated() -> None:
    (found,) = _predictor(SIGNATURES[1]).predict_detailed([NETWORK])
    assert found.latency_ms == 1.0 + 2 * 5.0 + 4.0 + 8.0
    assert found.measured_share == pytest.approx(13.0 / 23.0)


def test_an_empty_table_measures_nothing_of_a_network() -> None:
    (found,) = _predictor(*LATENCY_MS).predict_detailed([NETWORK])
    assert (found.latency_ms, found.measured_share) == (25.0, 0.0)


def test_each_missing_layer_is_priced_once_and_no_other() -> None:
    predictor = _predictor(SIGNATURES[1], SIGNATURES[3])
    predictor.predict_detailed([NETWORK, NETWORK])
    predictor.predict_detailed([NETWORK])
    predictor.explain(NETWORK)
    assert isinstance(predictor.kernel_model, FlatPrice)
    assert sorted(predictor.kernel_model.asked) == sorted([SIGNATURES[1], SIGNATURES[3]])


def test_layers_are_listed_with_their_places_and_add_up() -> None:
    predictor = _predictor(SIGNATURES[3])
    layers = predictor.explain(NETWORK).layers
    assert [(each.place, each.latency_ms, each.source == "measured") for each in layers] == [
        ("stem", 1.0, True),
        ("block1.0", 2.0, True),
        ("block1.1", 2.0, True),
        ("block2.0", 5.0, False),
        ("head", 8.0, True),
    ]
    assert sum(each.latency_ms for each in layers) == predictor.predict_ms(NETWORK)


def test_left_out_the_kernel_model_is_learnt_from_the_table_when_it_is_needed() -> None:
    rows = {f"fp32 8x8x8 conv1x1>{8 * n}": Row(0.1 * n) for n in range(1, 21)}
    predictor = TablePredictor(LatencyTable(CONFIGURATION, rows))
    known = Graph.parse("fp32 8x8x8 conv1x1>80")
    unknown = Graph.parse("fp32 8x8x8 conv1x1>84")
    assert predictor.predict_ms(known) == 1.0
    assert predictor.predict_ms(unknown) == pytest.approx(1.05, rel=0.15)
    layers = [Graph.parse(signature) for signature in rows]
    again = KernelModel().fit(layers, np.array([row.latency_ms for row in rows.values()]))
    assert predictor.predict_ms(unknown) == again.predict_ms([unknown])[0]


def test_a_table_too_small_to_learn_from_is_an_error_only_when_it_is_needed() -> None:
    rows = {name: Row(latency_ms) for name, latency_ms in LATENCY_MS.items()}
    predictor = TablePredictor(LatencyTable(CONFIGURATION, rows))
    assert predictor.predict_ms(NETWORK) == 17.0
    with pytest.raises(ValueError, match="at least 8 measured layers"):
        predictor.predict_ms(Graph.parse("fp32 8x8x8 conv1x1>8"))


def test_the_predictor_is_for_the_tables_configuration() -> None:
    assert _predictor().configuration == CONFIGURATION
    with pytest.raises(ConfigurationMismatch, match="for fp32, but a graph is int8"):
        _predictor().explain(lower(NETWORK, "int8"))


def test_a_layer_measured_again_has_its_new_latency() -> None:
    predictor = _predictor()
    layer = Graph.parse(SIGNATURES[0])
    assert predictor.predict_ms(layer) == 1.0
    assert predictor.fit([layer], [3.0]).predict_ms(layer) == 3.0
    assert predictor.predict_ms(NETWORK) == 17.0 - 1.0 + 3.0
