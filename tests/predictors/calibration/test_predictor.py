"""A correction fitted to full models, its honest errors and its intervals.

The networks are single layers in a table of made-up latencies, so that the uncorrected prediction
of each is known by hand.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mnaslat.architecture import Architecture
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.errors import ConfigurationMismatch
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.predictors.calibration.correction import Correction
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.table.predictor import TablePredictor

CONFIGURATION = Configuration(device="host", fingerprint="made-up CPU")
MANY = 60
NETWORKS = [Graph.parse(f"fp32 8x8x8 conv1x1>{filters}") for filters in range(1, MANY + 1)]
# In no order, so that neither folds nor correction can profit from one.
BASE_MS = np.random.default_rng(5).permutation(np.linspace(2.0, 20.0, MANY))
BASE = TablePredictor(
    LatencyTable(
        CONFIGURATION,
        {
            graph.signature: Row(float(latency_ms))
            for graph, latency_ms in zip(NETWORKS, BASE_MS, strict=True)
        },
    )
)


def _fit(measured_ms: NDArray[np.float64]) -> CalibratedPredictor:
    return CalibratedPredictor(BASE).fit(NETWORKS[: measured_ms.size], measured_ms)


@given(st.floats(0.1, 10.0), st.integers(3, 20))
def test_a_scale_is_found_again(scale: float, n: int) -> None:
    predictor = _fit(scale * BASE_MS[:n])
    assert predictor.correction.kind == "scale"
    assert predictor.correction.scale == pytest.approx(scale, rel=1e-9)
    assert predictor.predict_ms(NETWORKS[-1]) == pytest.approx(scale * BASE_MS[-1], rel=1e-9)
    assert predictor.held_out is not None and predictor.held_out.mape < 1e-9


@given(st.floats(0.5, 2.0), st.floats(0.5, 5.0) | st.floats(-0.8, -0.3), st.integers(7, 20))
def test_an_affine_map_is_found_again(scale: float, offset_ms: float, n: int) -> None:
    predictor = _fit(scale * BASE_MS[:n] + offset_ms)
    assert predictor.correction.kind == "affine"
    assert predictor.correction.scale == pytest.approx(scale, rel=1e-6)
    assert predictor.correction.offset_ms == pytest.approx(offset_ms, rel=1e-6)


def test_the_scale_of_least_relative_error_by_hand() -> None:
    # base / measured is 1, 1 and 1/2: the scale is sum / sum of squares = 2.5 / 2.25.
    predictor = _fit(BASE_MS[:3] * np.array([1.0, 1.0, 2.0]))
    assert predictor.correction.scale == pytest.approx(2.5 / 2.25, rel=1e-12)


def test_noise_alone_seldom_makes_the_correction_affine() -> None:
    kinds = []
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(1.0, 0.03, 20)
        kinds.append(_fit(1.06 * BASE_MS[:20] * noise).correction.kind)
    assert kinds.count("scale") >= 34


def test_five_networks_are_too_few_for_two_parameters() -> None:
    assert _fit(BASE_MS[:5] + 3.0).correction.kind == "scale"
    assert _fit(BASE_MS[:12] + 3.0).correction.kind == "affine"


def test_a_correction_never_makes_a_latency_vanish() -> None:
    correction = Correction("affine", 1.0, -5.0)
    none = np.zeros((3, 2))
    assert correction.apply(np.array([10.0, 5.0, 1.0]), none).tolist() == [5.0, 0.25, 0.05]


@pytest.mark.parametrize("offset_ms", [0.0, 4.0])  # a scale is chosen, or an affine map
@pytest.mark.parametrize("n", [3, 7, 12, 25])
def test_no_network_helps_to_predict_itself(offset_ms: float, n: int) -> None:
    noise = np.random.default_rng(1).normal(1.0, 0.02, n)
    measured_ms = 1.1 * BASE_MS[:n] * noise + offset_ms
    before = _held_out_ms(measured_ms)
    for index in range(n):
        wild = measured_ms.copy()
        wild[index] *= 50.0
        after = _held_out_ms(wild)
        assert after[index] == pytest.approx(before[index], rel=1e-9)
        assert not np.array_equal(np.delete(after, index), np.delete(before, index))


def _held_out_ms(measured_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    held_out_ms: NDArray[np.float64] = (_fit(measured_ms).residuals + 1.0) * measured_ms
    return held_out_ms


def test_held_out_errors_sum_up_the_residuals() -> None:
    predictor = _fit(BASE_MS[:20] * np.random.default_rng(2).normal(1.0, 0.05, 20))
    assert predictor.held_out is not None
    assert predictor.held_out.n == 20
    assert predictor.held_out.mape == pytest.approx(np.abs(predictor.residuals).mean(), rel=1e-6)


def test_with_three_networks_each_is_predicted_from_the_two_others() -> None:
    measured_ms = BASE_MS[:3] * np.array([1.0, 1.0, 2.0])
    held_out = _fit(measured_ms).residuals + 1.0
    # Without the third the scale is 1; with it and one other (1.5 / 1.25).
    assert held_out == pytest.approx([1.2, 1.2, 0.5], rel=1e-12)


# --- intervals


def test_an_interval_by_hand() -> None:
    predictor = CalibratedPredictor(BASE)
    predictor.residuals = np.array([0.01, -0.02, 0.03, -0.04, 0.05, 0.06, 0.07, 0.08, 0.25])
    # Nine errors: 0.9 * 10 is the ninth, 0.5 * 10 the fifth smallest.
    expected_ms = BASE_MS[0]
    for coverage, q in ((0.9, 0.25), (0.5, 0.05), (0.1, 0.01)):
        low_ms, high_ms = predictor.predict_interval_ms(NETWORKS[0], coverage)
        assert low_ms == pytest.approx(expected_ms / (1 + q), rel=1e-12)
        assert high_ms == pytest.approx(expected_ms / (1 - q), rel=1e-12)


def test_too_few_networks_for_the_coverage_bound_nothing() -> None:
    predictor = _fit(BASE_MS[:8] * 1.1)
    assert predictor.predict_interval_ms(NETWORKS[0], 0.9) == (0.0, math.inf)
    low_ms, high_ms = predictor.predict_interval_ms(NETWORKS[0], 0.85)
    assert 0.0 < low_ms <= high_ms < math.inf


def test_errors_of_more_than_everything_leave_the_upper_bound_open() -> None:
    predictor = CalibratedPredictor(BASE)
    predictor.residuals = np.full(30, 1.5)
    low_ms, high_ms = predictor.predict_interval_ms(NETWORKS[0])
    assert (low_ms, high_ms) == (BASE_MS[0] / 2.5, math.inf)


@pytest.mark.parametrize("n", [19, 39])
def test_nine_in_ten_fresh_networks_lie_in_the_interval(n: int) -> None:
    rng = np.random.default_rng(n)
    n_inside = n_all = 0
    for _ in range(200):
        measured_ms = 1.06 * BASE_MS * rng.normal(1.0, 0.05, MANY)
        predictor = _fit(measured_ms[:n])
        for index in range(n, MANY):
            low_ms, high_ms = predictor.predict_interval_ms(NETWORKS[index], 0.9)
            n_inside += low_ms <= measured_ms[index] <= high_ms
            n_all += 1
    assert 0.88 <= n_inside / n_all <= 0.94


@given(st.floats(0.01, 0.98), st.floats(0.01, 0.98))
def test_more_coverage_is_never_a_narrower_interval(first: float, second: float) -> None:
    predictor = CalibratedPredictor(BASE)
    predictor.residuals = np.random.default_rng(0).normal(0.0, 0.05, 50)
    narrow = predictor.predict_interval_ms(NETWORKS[0], min(first, second))
    wide = predictor.predict_interval_ms(NETWORKS[0], max(first, second))
    assert wide[0] <= narrow[0] <= predictor.predict_ms(NETWORKS[0]) <= narrow[1] <= wide[1]


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5, 90.0, math.nan])
def test_a_coverage_that_is_no_fraction_is_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match="coverage must lie between 0 and 1"):
        _fit(BASE_MS[:20]).predict_interval_ms(NETWORKS[0], coverage)


# --- before, and again


def test_before_it_is_fitted_it_predicts_the_sum_and_gives_no_interval() -> None:
    predictor = CalibratedPredictor(BASE)
    assert predictor.predict_ms(NETWORKS[0]) == BASE_MS[0]
    with pytest.raises(ValueError, match="Calibrate the predictor first"):
        predictor.predict_interval_ms(NETWORKS[0])


def test_recalibrating_adds_networks_and_leaves_the_first_predictor_alone() -> None:
    first = _fit(BASE_MS[:10])
    second = first.recalibrated(NETWORKS[10:20], 2.0 * BASE_MS[10:20])
    assert (len(first.networks), len(second.networks)) == (10, 20)
    assert first.correction == Correction("scale", 1.0)
    expected = _fit(np.concatenate([BASE_MS[:10], 2.0 * BASE_MS[10:20]]))
    assert second.correction == expected.correction
    assert second.residuals.tolist() == expected.residuals.tolist()


def test_a_network_measured_before_counts_once_with_its_new_latency() -> None:
    again = _fit(BASE_MS[:10]).recalibrated(NETWORKS[:10], 3.0 * BASE_MS[:10])
    assert len(again.networks) == 10
    assert again.correction.scale == pytest.approx(3.0, rel=1e-12)


def test_a_network_is_the_same_whether_lowered_or_read_from_its_signature() -> None:
    lowered = lower(Architecture.from_blocks(["r1_k3_s11_e1_i8_o8"], resolution=16, n_classes=2))
    read = Graph.parse(lowered.signature)
    rows = {signature: Row(1.0) for signature in lowered.layer_signatures}
    base = TablePredictor(
        LatencyTable(CONFIGURATION, {**BASE.table.rows, **rows}),
    )
    predictor = CalibratedPredictor(base).fit([read, *NETWORKS[:3]], [9.0, *BASE_MS[:3]])
    again = predictor.recalibrated([lowered], [5.0])
    assert len(again.networks) == 4
    assert sorted(again.measured_ms) == sorted([5.0, *BASE_MS[:3]])


# --- what is refused


@pytest.mark.parametrize("latency_ms", [0.0, -1.0, math.nan, math.inf])
def test_latencies_that_no_clock_gives_are_refused(latency_ms: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        _fit(np.array([*BASE_MS[:5], latency_ms]))


def test_too_few_networks_or_latencies_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 3 networks .* got 2"):
        _fit(BASE_MS[:2])
    with pytest.raises(ValueError, match="with one latency each"):
        CalibratedPredictor(BASE).fit(NETWORKS[:5], BASE_MS[:4])
    with pytest.raises(ValueError, match="at least 3 networks"):
        CalibratedPredictor(BASE).recalibrated([], [])


@pytest.mark.parametrize(("factor", "unit"), [(1e3, "microseconds"), (1e-3, "seconds")])
def test_another_unit_than_the_layers_is_a_question(factor: float, unit: str) -> None:
    with pytest.raises(ValueError, match=rf"^Are these latencies in {unit}\?"):
        _fit(factor * BASE_MS[:10])
    wild = BASE_MS[:10].copy()
    wild[:4] *= factor  # some that are wrong are no question of the unit
    _fit(wild)


def test_a_network_with_two_latencies_is_refused_and_with_two_alike_counts_once() -> None:
    twice, rest = [NETWORKS[0], *NETWORKS[:9]], BASE_MS[1:9]
    with pytest.raises(ValueError, match=r"at 0, 1 are the same, but took 1, 5 ms"):
        CalibratedPredictor(BASE).fit(twice, [1.0, 5.0, *rest])
    predictor = CalibratedPredictor(BASE).fit(twice, [8.0, 8.0, *rest])
    assert len(predictor.networks) == 9
    with pytest.raises(ValueError, match="at least 3 networks .* got 1 different"):
        CalibratedPredictor(BASE).fit([NETWORKS[0]] * 3, [1.0, 1.0, 1.0])


def test_networks_of_another_precision_are_refused() -> None:
    others = [Graph.parse(graph.signature.replace("fp32", "int8")) for graph in NETWORKS[:5]]
    with pytest.raises(ConfigurationMismatch):
        CalibratedPredictor(BASE).fit(others, BASE_MS[:5])
