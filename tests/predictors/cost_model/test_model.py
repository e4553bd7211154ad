"""Unit costs learned from whole networks, on devices that do not exist."""

import math
import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.errors import ConfigurationMismatch
from mnaslat.graph import Graph
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.cost_model.model import CostModel
from mnaslat.predictors.cost_model.training import clearly_worse
from mnaslat.predictors.pretrained.library import pretrained_priors
from mnaslat.predictors.table.predictor import TablePredictor
from mnaslat.zoo import load_network
from tests.predictors.made_up_networks import made_up_ms, made_up_networks

NETWORKS, FAMILIES = made_up_networks(90, seed=1)
LATENCY_MS = made_up_ms(NETWORKS)
LEARNT, HELD_OUT = NETWORKS[:60], NETWORKS[60:]
GPU = Configuration(device="phone", fingerprint="made-up GPU", delegate="gpu")


def _error(model: CostModel, latency_ms: np.ndarray = LATENCY_MS) -> float:
    return float(np.abs(model.predict(HELD_OUT) / latency_ms[60:] - 1.0).mean())


@pytest.fixture(scope="module")
def model() -> CostModel:
    return CostModel().fit(LEARNT, LATENCY_MS[:60])


@pytest.fixture(scope="module")
def others() -> list[CostModel]:
    """Models of three other devices, each slower than the one before."""
    return [
        CostModel().fit(LEARNT, made_up_ms(LEARNT, device=number, slowness=2.0**number))
        for number in (1, 2, 3)
    ]


def test_latencies_that_follow_from_ops_are_predicted(model: CostModel) -> None:
    assert _error(model) < 0.02
    assert model.held_out is not None and model.held_out.mape < 0.02
    assert model.held_out.n == len(LEARNT)


def test_a_device_twice_as_slow_is_predicted_twice_as_slow(model: CostModel) -> None:
    doubled = CostModel().fit(LEARNT, 2.0 * LATENCY_MS[:60])
    np.testing.assert_allclose(doubled.predict(HELD_OUT), 2.0 * model.predict(HELD_OUT), rtol=1e-3)


def test_the_order_of_networks_does_not_matter(model: CostModel) -> None:
    order = np.random.default_rng(0).permutation(60)
    again = CostModel().fit([LEARNT[index] for index in order], LATENCY_MS[order])
    np.testing.assert_allclose(again.predict(HELD_OUT), model.predict(HELD_OUT), rtol=1e-6)


def test_others_beside_a_network_do_not_change_its_prediction(model: CostModel) -> None:
    together = model.predict(HELD_OUT[:5])
    assert [model.predict_ms(graph) for graph in HELD_OUT[:5]] == pytest.approx(together, rel=1e-12)
    low_ms, high_ms = model.predict_interval_ms(HELD_OUT[:5])
    for index, graph in enumerate(HELD_OUT[:5]):
        alone = model.predict_interval_ms(graph)
        assert alone == pytest.approx((low_ms[index], high_ms[index]), rel=1e-9)


def test_fitting_again_gives_the_same(model: CostModel) -> None:
    again = CostModel().fit(LEARNT, LATENCY_MS[:60])
    assert again.predict(HELD_OUT).tobytes() == model.predict(HELD_OUT).tobytes()


@pytest.mark.parametrize("seed", range(4))
def test_three_in_a_hundred_measurements_several_times_too_high_hardly_matter(seed: int) -> None:
    noise = np.random.default_rng(99).normal(1.0, 0.02, 90)
    clean = CostModel().fit(LEARNT, LATENCY_MS[:60] * noise[:60])
    rng = np.random.default_rng(seed)
    wild = LATENCY_MS[:60] * noise[:60]
    wild[rng.choice(60, 2, replace=False)] *= rng.uniform(3.0, 8.0, 2)
    assert _error(CostModel().fit(LEARNT, wild)) <= 1.2 * _error(clean)


def test_ops_that_were_never_measured_have_a_price(model: CostModel) -> None:
    for signature in (
        "fp32 32x32x8 conv3x3>16%4",
        "fp32 32x32x8 conv7x7/2>16",
        "fp32 32x32x8 hard_swish",
        "fp32 32x32x8 unknown.fft=32x32x8",
        "fp32 32x32x8 reshape=8192",
        "fp32 8 linear>8",
    ):
        latency_ms = model.predict_ms(Graph.parse(signature))
        low_ms, high_ms = model.predict_interval_ms(Graph.parse(signature))
        assert 0 < low_ms <= latency_ms <= high_ms < math.inf


def test_new_terms_do_not_change_what_was_predicted_before(model: CostModel) -> None:
    before = model.predict(HELD_OUT)
    model.predict_ms(Graph.parse("fp32 32x32x8 conv9x9>16%2"))
    np.testing.assert_allclose(model.predict(HELD_OUT), before, rtol=1e-12)


def test_without_misfit_of_networks_all_follows_from_a_few_sums(others: list[CostModel]) -> None:
    prior = CostModel(misfit=0.0).fit(LEARNT, made_up_ms(LEARNT, device=1))
    model = CostModel([prior], misfit=0.0).fit(LEARNT[:30], LATENCY_MS[:30])
    assert model.additive_features(HELD_OUT).shape == (len(HELD_OUT), 4)
    assert (
        CostModel([others[0]], misfit=0.0)
        .fit(LEARNT, LATENCY_MS[:60])
        .additive_features(HELD_OUT)
        .shape[1]
        > 20
    )
    assert _error(model) < 0.05


@pytest.mark.parametrize("misfit", [0.0, 0.05])
def test_features_add_up_over_layers(misfit: float) -> None:
    model = CostModel(misfit=misfit).fit(LEARNT, LATENCY_MS[:60])
    for graph in HELD_OUT[:5]:
        of_layers = model.additive_features(graph.layer_graphs())
        whole = of_layers.sum(axis=0, keepdims=True)
        np.testing.assert_allclose(whole, model.additive_features([graph]), rtol=1e-9, atol=1e-12)
        assert model.from_features(whole) == pytest.approx(model.predict([graph]), rel=1e-9)


def test_features_made_before_new_terms_were_met_stay_right(model: CostModel) -> None:
    before = model.additive_features(HELD_OUT)
    expected = model.predict(HELD_OUT)
    model.predict_ms(Graph.parse("fp32 32x32x8 conv11x11>16%2"))
    np.testing.assert_allclose(model.from_features(before), expected, rtol=1e-12)


def test_layers_that_are_slower_than_their_ops_say_are_learned() -> None:
    layers = [
        f"conv1x1>{24 * expansion}:relu dwconv{kernel}x{kernel}:relu conv1x1>24"
        for expansion in range(1, 9)
        for kernel in (3, 5)
    ]
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(layers), (120, 6))
    graphs = [
        Graph.parse("fp32 16x16x24 " + " | ".join(layers[each] for each in row)) for row in chosen
    ]
    layers_ms = made_up_ms([Graph.parse(f"fp32 16x16x24 {each}") for each in layers])
    latency_ms = (layers_ms * rng.lognormal(0.0, 0.3, len(layers)))[chosen].sum(axis=1)
    errors = {}
    for layer_misfit in (None, 0.0):
        model = CostModel(layer_misfit=layer_misfit).fit(graphs[:80], latency_ms[:80])
        predicted_ms = model.predict(graphs[80:])
        errors[layer_misfit] = float(np.abs(predicted_ms / latency_ms[80:] - 1.0).mean())
    assert errors[None] < 0.01
    assert errors[None] < 0.5 * errors[0.0]


def test_noise_that_is_larger_than_said_is_found() -> None:
    noise = np.random.default_rng(3).normal(1.0, 0.1, 60)
    model = CostModel().fit(LEARNT, LATENCY_MS[:60] * noise)
    assert 0.02 < model.state.fit.settings.noise < 0.2
    assert CostModel().fit(LEARNT, LATENCY_MS[:60]).state.fit.settings.noise == 0.01


# --- intervals


def test_networks_of_kinds_measured_lie_in_their_intervals() -> None:
    noise = np.random.default_rng(7).normal(1.0, 0.03, 90)
    found = CostModel().fit(LEARNT, LATENCY_MS[:60] * noise[:60])
    low_ms, high_ms = found.predict_interval_ms(HELD_OUT)
    measured_ms = LATENCY_MS[60:] * noise[60:]
    assert ((low_ms <= measured_ms) & (measured_ms <= high_ms)).mean() >= 0.8


def test_a_kind_never_measured_gets_wider_intervals() -> None:
    known = [index for index, family in enumerate(FAMILIES) if family != "plain"]
    found = CostModel().fit([NETWORKS[index] for index in known], LATENCY_MS[known])
    widths = {}
    for family in ("plain", "inverted"):
        inside = [graph for graph, each in zip(NETWORKS, FAMILIES, strict=True) if each == family]
        low_ms, high_ms = found.predict_interval_ms(inside)
        widths[family] = np.median(np.log(high_ms / low_ms))
    assert widths["plain"] > 1.5 * widths["inverted"]


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_more_coverage_is_never_a_narrower_interval(
    model: CostModel, first: float, second: float
) -> None:
    narrow = model.predict_interval_ms(HELD_OUT[0], min(first, second))
    wide = model.predict_interval_ms(HELD_OUT[0], max(first, second))
    assert wide[0] <= narrow[0] <= model.predict_ms(HELD_OUT[0]) <= narrow[1] <= wide[1]


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90.0, math.nan])
def test_a_coverage_that_is_no_fraction_is_refused(model: CostModel, coverage: float) -> None:
    with pytest.raises(ValueError, match="coverage must lie between 0 and 1"):
        model.predict_interval_ms(HELD_OUT[0], coverage)


@pytest.mark.parametrize("configuration", [None, GPU], ids=["CPU", "GPU"])
def test_a_linear_layer_over_many_rows_costs_what_a_pointwise_convolution_does(
    configuration: Configuration | None,
) -> None:
    model = CostModel(configuration=configuration).fit(LEARNT, LATENCY_MS[:60])
    convolved, linear = (
        Graph.parse(f"fp32 56x56x64 {first} {second}>192:relu | {second}>64")
        for first, second in (("relu |", "conv1x1"), ("relu | reshape=3136x64 |", "linear"))
    )
    assert model.predict_ms(linear) == pytest.approx(model.predict_ms(convolved), rel=0.05)


# --- other devices as priors


def test_priors_make_a_few_networks_enough(others: list[CostModel]) -> None:
    alone = CostModel().fit(LEARNT[:6], LATENCY_MS[:6])
    helped = CostModel(others).fit(LEARNT[:6], LATENCY_MS[:6])
    assert _error(helped) < 0.7 * _error(alone)


def test_one_network_says_how_fast_a_device_is(others: list[CostModel]) -> None:
    target_ms = made_up_ms(NETWORKS, device=2, slowness=30.0)
    model = CostModel(others).fit(LEARNT[:1], target_ms[:1])
    assert _error(model, target_ms) < 0.4


def test_with_many_networks_priors_do_no_harm(others: list[CostModel]) -> None:
    assert _error(CostModel(others).fit(LEARNT, LATENCY_MS[:60])) < 0.02


def test_a_prior_that_misleads_is_dropped_where_enough_was_measured() -> None:
    shuffled_ms = np.random.default_rng(0).permutation(LATENCY_MS[:60])
    misleading = CostModel(noise=0.001, misfit=1e-4, layer_misfit=1e-4).fit(LEARNT, shuffled_ms)
    with_it = CostModel([misleading]).fit(LEARNT, LATENCY_MS[:60])
    assert with_it.state.priors == ()
    alone = CostModel().fit(LEARNT, LATENCY_MS[:60])
    np.testing.assert_array_equal(with_it.predict(HELD_OUT), alone.predict(HELD_OUT))
    # Few networks cannot judge it.
    assert CostModel([misleading]).fit(LEARNT[:39], LATENCY_MS[:39]).state.priors


def test_priors_that_help_are_kept_however_many_were_measured(others: list[CostModel]) -> None:
    noise = np.random.default_rng(0).normal(1.0, 0.02, 60)
    assert len(CostModel(others).fit(LEARNT, LATENCY_MS[:60] * noise).state.priors) == 3


def test_single_layers_do_not_judge_a_prior() -> None:
    layers = list(
        {layer.signature: layer for graph in LEARNT for layer in graph.layer_graphs()}.values()
    )
    layer_ms = made_up_ms(layers)
    shuffled_ms = np.random.default_rng(0).permutation(layer_ms)
    misleading = CostModel(noise=0.001, misfit=1e-4, layer_misfit=1e-4).fit(layers, shuffled_ms)
    assert len(layers) > 40
    assert CostModel([misleading]).fit(layers, layer_ms).state.priors
    some = [*layers, *LEARNT[:39]]
    some_ms = np.concatenate([layer_ms, LATENCY_MS[:39]])
    assert CostModel([misleading]).fit(some, some_ms).state.priors


def test_priors_are_worse_only_if_their_errors_are_larger_than_chance_makes_them() -> None:
    alone = np.array([0.01, -0.02, 0.03, -0.04])
    assert clearly_worse(2.0 * alone, alone)
    assert not clearly_worse(alone, alone)
    assert not clearly_worse(alone, 2.0 * alone)
    # Larger by 0.005 on average, with a standard error of 0.0065.
    assert not clearly_worse(np.array([0.02, 0.02, 0.05, 0.03]), alone)
    # A gross error of both does not hide the others.
    gross = np.append(alone, 3.0)
    assert clearly_worse(np.append(2.0 * alone, 4.0), gross)


def test_a_model_with_priors_can_be_a_prior(others: list[CostModel]) -> None:
    second = CostModel(others[:2]).fit(LEARNT[:20], LATENCY_MS[:20])
    third = CostModel([second, others[2]]).fit(LEARNT[:6], 3.0 * LATENCY_MS[:6])
    assert _error(third, 3.0 * LATENCY_MS) < 0.05
    assert third.predict_ms(Graph.parse("fp32 8x8x8 conv3x3>8%2")) > 0


@pytest.mark.parametrize(("factor", "unit"), [(1000.0, "microseconds"), (1e-3, "seconds")])
def test_another_unit_than_the_priors_is_a_question(
    others: list[CostModel], factor: float, unit: str
) -> None:
    with pytest.raises(ValueError, match=rf"^Are these latencies in {unit}\? .*fit without priors"):
        CostModel(others).fit(LEARNT[:10], factor * LATENCY_MS[:10])


def test_microseconds_of_a_device_faster_than_all_priors_are_a_question(
    others: list[CostModel],
) -> None:
    # The priors are 2, 4 and 8 times as slow as this device at its own speed.
    for faster in (1.0, 3.0, 6.0):
        with pytest.raises(ValueError, match=r"^Are these latencies in microseconds\?"):
            CostModel(others).fit(LEARNT[:10], 1000.0 / faster * LATENCY_MS[:10])
        CostModel(others).fit(LEARNT[:10], LATENCY_MS[:10] / faster)


def test_the_same_prior_three_times_says_what_it_says_once(others: list[CostModel]) -> None:
    once, thrice = (
        CostModel(others[:1] * times).fit(LEARNT[:8], LATENCY_MS[:8]) for times in (1, 3)
    )
    np.testing.assert_allclose(thrice.predict(HELD_OUT), once.predict(HELD_OUT), rtol=1e-6)
    for bounds in zip(
        thrice.predict_interval_ms(HELD_OUT), once.predict_interval_ms(HELD_OUT), strict=True
    ):
        np.testing.assert_allclose(*bounds, rtol=1e-6)


def test_a_prior_of_another_kind_is_refused(model: CostModel) -> None:
    with pytest.raises(ConfigurationMismatch, match="is for fp32 on a CPU, but fp32 on a GPU"):
        CostModel([model], GPU).fit(LEARNT, LATENCY_MS[:60])
    with pytest.raises(ConfigurationMismatch, match="is for fp32 on a CPU, but int8 on a CPU"):
        CostModel([model]).fit(made_up_networks(6, 1, "int8")[0], LATENCY_MS[:6])
    with pytest.raises(ValueError, match="Fit the cost model first"):
        CostModel([CostModel()]).fit(LEARNT, LATENCY_MS[:60])
    with pytest.raises(ValueError, match="Priors are fitted cost models, got a str"):
        CostModel(["pixel4"]).fit(LEARNT, LATENCY_MS[:60])  # type: ignore[list-item]


# --- which networks to measure


def test_suggested_networks_teach_more_than_the_first_ones(others: list[CostModel]) -> None:
    chosen = CostModel(others).suggest_calibration(LEARNT, 6)
    assert len(set(chosen)) == 6
    suggested = CostModel(others).fit([LEARNT[i] for i in chosen], LATENCY_MS[chosen])
    rng = np.random.default_rng(0)
    by_chance = []
    for _ in range(10):
        drawn = rng.choice(60, 6, replace=False)
        by_chance.append(
            _error(CostModel(others).fit([LEARNT[i] for i in drawn], LATENCY_MS[drawn]))
        )
    assert _error(suggested) < np.mean(by_chance)


def test_suggestions_need_no_priors_and_are_the_same_each_time() -> None:
    chosen = CostModel().suggest_calibration(LEARNT, 8)
    assert chosen == CostModel().suggest_calibration(LEARNT, 8)
    assert chosen[:3] == CostModel().suggest_calibration(LEARNT, 3)
    assert {FAMILIES[index] for index in chosen} == set(FAMILIES)


def test_what_was_measured_is_not_suggested_again(others: list[CostModel]) -> None:
    model = CostModel(others).fit(LEARNT[:20], LATENCY_MS[:20])
    assert min(model.suggest_calibration(LEARNT, 10)) >= 20
    assert sorted(model.suggest_calibration(LEARNT[:25] * 2, 50)) == [20, 21, 22, 23, 24]
    assert model.suggest_calibration(LEARNT[:20], 5) == []


def test_suggestions_of_nothing_are_refused() -> None:
    for candidates, n in ((LEARNT, 0), ([], 3)):
        with pytest.raises(ValueError, match="at least 1 of at least 1"):
            CostModel().suggest_calibration(candidates, n)


# --- configurations


def test_a_gpu_is_learned_by_its_own_terms() -> None:
    model = CostModel(configuration=GPU).fit(LEARNT, LATENCY_MS[:60])
    assert _error(model) < 0.1
    assert any(term.what == "serial" for term in model.state.fit.terms)
    assert model.configuration == GPU
    assert (
        model.state.fit.settings.noise
        > CostModel().fit(LEARNT, LATENCY_MS[:60]).state.fit.settings.noise
    )


@pytest.mark.parametrize("delegate", ["nnapi", "npu", "hexagon", "coreml", "QNN"])
def test_what_is_neither_a_cpu_nor_a_gpu_is_not_learned_as_one(delegate: str) -> None:
    configuration = Configuration(device="npu", fingerprint="npu", delegate=delegate)
    sentence = rf"'{delegate}' is not known .* Known: xnnpack, gpu, none, cpu, .*mnaslat profile"
    with pytest.raises(ValueError, match=sentence):
        CostModel(configuration=configuration).fit(LEARNT[:20], LATENCY_MS[:20])
    with pytest.raises(ValueError, match=sentence):
        CostModel(configuration=configuration).suggest_calibration(LEARNT[:20], 2)
    with pytest.raises(ValueError, match=sentence):
        pretrained_priors(configuration)


def test_a_table_of_any_delegate_predicts() -> None:
    layers = list({layer: None for graph in LEARNT[:20] for layer in graph.layer_graphs()})
    rows = {layer.signature: Row(ms) for layer, ms in zip(layers, made_up_ms(layers), strict=True)}
    configuration = Configuration(device="npu", fingerprint="npu", delegate="nnapi")
    table = TablePredictor(LatencyTable(configuration, rows))
    predictor = CalibratedPredictor(table).fit(LEARNT[:20], 1.1 * table.predict(LEARNT[:20]))
    assert predictor.predict_ms(LEARNT[0]) == pytest.approx(1.1 * table.predict_ms(LEARNT[0]))


def test_several_cores_and_int8_are_learned_too() -> None:
    graphs, _ = made_up_networks(40, 2, "int8")
    configuration = Configuration(
        device="phone", fingerprint="made-up", precision="int8", threads=4, cores="big"
    )
    model = CostModel(configuration=configuration).fit(graphs, made_up_ms(graphs))
    assert model.predict_ms(load_network("mnasnet-a1")) > 0
    with pytest.raises(ConfigurationMismatch, match="for int8, but a graph is fp32"):
        model.predict_ms(NETWORKS[0])


def test_left_out_the_configuration_follows_from_the_graphs() -> None:
    graphs, _ = made_up_networks(12, 2, "int8")
    model = CostModel().fit(graphs, made_up_ms(graphs))
    assert (model.configuration.precision, model.configuration.device) == ("int8", "unnamed")
    with pytest.raises(ConfigurationMismatch, match="for fp32, but a graph is int8"):
        CostModel().fit([LEARNT[0], *graphs], np.ones(13))
    with pytest.raises(ValueError, match="Fit the cost model first"):
        _ = CostModel().configuration


# --- again, with more


def test_recalibrating_adds_networks_and_leaves_the_first_model_alone(model: CostModel) -> None:
    first = CostModel().fit(LEARNT[:20], LATENCY_MS[:20])
    before = first.predict(HELD_OUT)
    second = first.recalibrated(LEARNT[20:60], LATENCY_MS[20:60])
    np.testing.assert_allclose(second.predict(HELD_OUT), model.predict(HELD_OUT), rtol=1e-9)
    assert first.predict(HELD_OUT).tobytes() == before.tobytes()


def test_a_network_measured_again_counts_with_its_new_latency() -> None:
    first = CostModel().fit(LEARNT[:20], LATENCY_MS[:20])
    again = first.recalibrated(LEARNT[:20], 3.0 * LATENCY_MS[:20])
    assert len(again.networks) == 20
    np.testing.assert_allclose(again.predict(HELD_OUT), 3.0 * first.predict(HELD_OUT), rtol=1e-3)


# --- what is refused


@pytest.mark.parametrize("latency_ms", [0.0, -1.0, math.nan, math.inf])
def test_latencies_that_no_clock_gives_are_refused(latency_ms: float) -> None:
    with pytest.raises(ValueError, match="must be positive milliseconds, got .* at index 9"):
        CostModel().fit(LEARNT[:10], [*LATENCY_MS[:9], latency_ms])


def test_too_few_networks_say_what_would_help(others: list[CostModel]) -> None:
    with pytest.raises(ValueError, match="at least 5 different networks, got 4. Measure more, or"):
        CostModel().fit(LEARNT[:4], LATENCY_MS[:4])
    with pytest.raises(ValueError, match="at least 5 different networks, got 1"):
        CostModel().fit(LEARNT[:1] * 8, [LATENCY_MS[0]] * 8)
    with pytest.raises(ValueError, match="at least 1 different networks, got 0"):
        CostModel(others).fit([], [])
    with pytest.raises(ValueError, match="one latency each, got 6 graphs and latencies of shape"):
        CostModel().fit(LEARNT[:6], LATENCY_MS[:5])


def test_one_network_with_two_latencies_counts_once_if_they_agree() -> None:
    twice = CostModel().fit([*LEARNT[:10], LEARNT[0]], [*LATENCY_MS[:10], 1.21 * LATENCY_MS[0]])
    once_ms = [1.1 * LATENCY_MS[0], *LATENCY_MS[1:10]]
    once = CostModel().fit(LEARNT[:10], once_ms)
    np.testing.assert_allclose(twice.predict(HELD_OUT), once.predict(HELD_OUT), rtol=1e-9)


def test_one_network_with_very_different_latencies_is_refused() -> None:
    with pytest.raises(ValueError, match="The networks at 0, 10 are the same, but took"):
        CostModel().fit([*LEARNT[:10], LEARNT[0]], [*LATENCY_MS[:10], 2.0 * LATENCY_MS[0]])


@pytest.mark.parametrize("name", ["noise", "misfit", "reach"])
@pytest.mark.parametrize("value", [-1.0, math.nan, 100.0])
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    arguments = {name: value}
    with pytest.raises(ValueError, match=re.escape(f"{name} must lie between")):
        CostModel(**arguments).fit(LEARNT, LATENCY_MS[:60])  # type: ignore[arg-type]


def test_before_it_is_fitted_it_predicts_nothing() -> None:
    with pytest.raises(ValueError, match="Fit the cost model first"):
        CostModel().predict(NETWORKS)


# --- speed


def test_a_second_prediction_takes_a_millisecond_at_most(model: CostModel) -> None:
    architecture = load_network("mnasnet-a1")
    model.predict_ms(architecture)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        model.predict_ms(architecture)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3
