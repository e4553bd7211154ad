"""A compiled predictor is the predictor, only faster."""

import gc
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.architecture import Architecture, Block, Layer
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.predictors.calibration.correction import Correction
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.compiled import compiled_predictor as compiled_module
from mnaslat.predictors.compiled import space_layers as layers_module
from mnaslat.predictors.compiled.additive import AdditivePredictor
from mnaslat.predictors.compiled.compiled_predictor import CompiledPredictor
from mnaslat.predictors.compiled.space_layers import MAX_FORMS, space_layers
from mnaslat.predictors.table.predictor import TablePredictor
from mnaslat.space import Choices, Decision, SearchSpace
from mnaslat.space.mnasnet import mnasnet
from tests.predictors.additive_cases import (
    CORRECTIONS,
    AnyPredictor,
    Curved,
    all_rows,
    configuration,
    corrected,
    corrected_cost_model,
    cost_model,
    slow_ms,
    small_space,
    table_predictor,
)

SMALL = small_space()
ROWS = all_rows(SMALL)


def _build(choices: Choices) -> Architecture:
    filters = int(choices["filters"])
    first = Layer(input_filters=8, output_filters=filters, kernel=int(choices["kernel"]))
    last = Layer(input_filters=filters, output_filters=8)
    blocks = (Block(first=first), Block(first=last, n_layers=int(choices["layers"])))
    return Architecture(blocks=blocks, stem_filters=8, head_filters=16, n_classes=2, resolution=16)


def _two_blocks(**parts: tuple[str, ...]) -> SearchSpace:
    decisions = (
        Decision("kernel", (3, 5)),
        Decision("filters", (8, 16)),
        Decision("layers", (1, 3)),
    )
    right: dict[str, tuple[str, ...]] = {
        "stem": (),
        "block1": ("kernel", "filters"),
        "block2": ("filters", "layers"),
        "head": (),
    }
    return SearchSpace("two-blocks", decisions, _build, lambda _: {}, {**right, **parts})


def test_the_sum_by_hand() -> None:
    space = _two_blocks()
    signatures = lower(space.decode([1, 1, 1])).layer_signatures
    assert len(signatures) == 6 and len(set(signatures)) == 5  # block 2 repeats a layer
    other = lower(space.decode([0, 0, 0])).layer_signatures
    rows = {signature: Row(64.0) for signature in other}
    rows |= {signature: Row(2.0**n) for n, signature in enumerate(dict.fromkeys(signatures))}
    remaining = {graph.signature: Row(100.0) for graph in space_layers(space, "fp32").graphs}
    predictor = TablePredictor(LatencyTable(configuration(), {**remaining, **rows}))
    # stem 1, block 1 2, block 2 4 + 8 + 8, head 16.
    assert predictor.compile(space)([[1, 1, 1]]).tolist() == [39.0]


@pytest.mark.parametrize("name", CORRECTIONS)
def test_every_network_of_a_small_space_costs_what_the_slow_way_says(name: str) -> None:
    predictor = corrected(SMALL, name)
    expected_ms = slow_ms(predictor, SMALL, ROWS)
    found_ms = predictor.compile(SMALL)(ROWS)
    assert found_ms.shape == (144,) and found_ms.dtype == np.float64
    np.testing.assert_allclose(found_ms, expected_ms, rtol=1e-12)
    assert len(np.unique(found_ms.round(9))) > 100


def test_the_small_space_has_networks_on_both_sides_of_every_bend() -> None:
    predictor = corrected(SMALL, "affine, at its lower bound")
    bound_ms = 0.05 * slow_ms(table_predictor(SMALL), SMALL, ROWS)
    at_bound = slow_ms(predictor, SMALL, ROWS) == bound_ms
    assert 30 < at_bound.sum() < 114
    weights_mb = predictor.additive_features([lower(SMALL.decode(row)) for row in ROWS])[:, -1]
    assert 30 < (weights_mb < CORRECTIONS["memory"].cache_mb).sum() < 114


def test_random_networks_of_the_whole_space_cost_what_the_slow_way_says() -> None:
    space = mnasnet()
    predictor = CalibratedPredictor(table_predictor(space))
    predictor.correction = Correction("memory", 1.05, 0.0, 0.1, 0.2, 8.0)
    rows = space.sample(300, np.random.default_rng(1))
    np.testing.assert_allclose(
        predictor.compile(space)(rows), slow_ms(predictor, space, rows), rtol=1e-9
    )


def test_layers_outside_the_table_are_estimated_as_in_the_slow_way() -> None:
    predictor = table_predictor(SMALL, every=2)
    expected_ms = slow_ms(table_predictor(SMALL, every=2), SMALL, ROWS)
    np.testing.assert_allclose(predictor.compile(SMALL)(ROWS), expected_ms, rtol=1e-9)


def test_a_predictor_for_int8_prices_int8_layers() -> None:
    predictor = table_predictor(SMALL, "int8")
    np.testing.assert_allclose(
        predictor.compile(SMALL)(ROWS), slow_ms(predictor, SMALL, ROWS), rtol=1e-12
    )


@pytest.mark.parametrize(
    "predictor",
    [Curved(), cost_model(SMALL), corrected_cost_model(SMALL)],
    ids=["curved", "cost model", "corrected cost model"],
)
def test_a_predictor_that_is_no_sum_is_its_own_function_of_the_sums(
    predictor: AnyPredictor,
) -> None:
    assert predictor.linear_form() is None
    np.testing.assert_allclose(
        predictor.compile(SMALL)(ROWS), slow_ms(predictor, SMALL, ROWS), rtol=1e-9
    )


# --- the contract that makes it possible


@pytest.mark.parametrize(
    "predictor",
    [
        table_predictor(SMALL),
        *(corrected(SMALL, name) for name in CORRECTIONS),
        cost_model(SMALL),
        corrected_cost_model(SMALL),
    ],
    ids=["table", *CORRECTIONS, "cost model", "corrected cost model"],
)
def test_features_add_up_over_layers_and_make_the_latency(predictor: AnyPredictor) -> None:
    graphs = [lower(SMALL.decode(row)) for row in ROWS[::7]]
    features = predictor.additive_features(graphs)
    for graph, expected in zip(graphs, features, strict=True):
        layers = predictor.additive_features(graph.layer_graphs())
        np.testing.assert_allclose(layers.sum(axis=0), expected, rtol=1e-12)
    expected_ms = predictor.predict_ms(graphs)
    np.testing.assert_allclose(predictor.from_features(features), expected_ms, rtol=1e-12)
    linear = predictor.linear_form()
    if linear is not None:
        np.testing.assert_allclose(features @ linear[0] + linear[1], expected_ms, rtol=1e-12)


def test_only_corrections_that_are_affine_everywhere_say_so() -> None:
    linear = {name for name in CORRECTIONS if corrected(SMALL, name).linear_form() is not None}
    assert linear == {"none", "scale", "affine"}


# --- rows


@pytest.fixture(scope="module")
def compiled() -> CompiledPredictor:
    return table_predictor(SMALL).compile(SMALL)


@given(st.lists(st.integers(0, 143), max_size=40))
def test_what_a_row_costs_does_not_depend_on_the_others(
    compiled: CompiledPredictor, chosen: list[int]
) -> None:
    found_ms = compiled(ROWS[np.array(chosen, dtype=np.int64)])
    assert found_ms.tolist() == compiled(ROWS)[chosen].tolist()


def test_more_rows_than_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = corrected(SMALL, "memory")
    expected_ms = predictor.compile(SMALL)(ROWS)
    monkeypatch.setattr(compiled_module, "_TOKENS_AT_ONCE", 10 * len(SMALL.decisions))
    assert predictor.compile(SMALL)(ROWS).tolist() == expected_ms.tolist()  # 14 chunks and 4 rows
    monkeypatch.setattr(compiled_module, "_TOKENS_AT_ONCE", 1)
    assert predictor.compile(SMALL)(ROWS).tolist() == expected_ms.tolist()


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "i4", "u4", ">i8", "u8"])
def test_any_whole_numbers_will_do(compiled: CompiledPredictor, dtype: str) -> None:
    expected_ms = compiled(ROWS).tolist()
    assert compiled(ROWS.astype(dtype)).tolist() == expected_ms
    assert compiled(np.asfortranarray(ROWS.astype(dtype))).tolist() == expected_ms


def test_rows_may_be_lists_views_or_none_at_all(compiled: CompiledPredictor) -> None:
    expected_ms = compiled(ROWS)
    assert compiled(ROWS.tolist()).tolist() == expected_ms.tolist()
    assert compiled(ROWS[::-3]).tolist() == expected_ms[::-3].tolist()
    assert compiled(np.zeros((0, 42), dtype=np.int64)).shape == (0,)
    before = ROWS.copy()
    compiled(ROWS)
    assert (before == ROWS).all()


# --- what is refused


@pytest.mark.parametrize(
    ("token", "dtype"),
    [(-1, "i8"), (-1, "i1"), (3, "i8"), (3, "u1"), (2**62, "i8"), (2**64 - 1, "u8")],
)
def test_a_token_out_of_range_is_named(compiled: CompiledPredictor, token: int, dtype: str) -> None:
    rows = ROWS.astype(dtype)
    position = [decision.name for decision in SMALL.decisions].index("block2.filters")
    rows[140, position] = token
    text = rf"Token {position} \(block2.filters\) of row 140 is {token}, but must lie in 0\.\.2"
    with pytest.raises(ValueError, match=text):
        compiled(rows)


def test_the_row_is_counted_from_the_first_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_module, "_TOKENS_AT_ONCE", 10 * len(SMALL.decisions))
    rows = ROWS.copy()
    rows[57, 0] = 1
    with pytest.raises(ValueError, match=r"block1.op\) of row 57 is 1, but must lie in 0\.\.0"):
        table_predictor(SMALL).compile(SMALL)(rows)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (ROWS[0], r"rows of 42 tokens, shape \(n, 42\), got shape \(42,\)"),
        (ROWS[:, :41], r"got shape \(144, 41\)"),
        (ROWS[None], r"got shape \(1, 144, 42\)"),
        (ROWS.astype(np.float64), "whole numbers, got an array of float64"),
        (ROWS.astype(np.bool_), "whole numbers, got an array of bool"),
        (ROWS.astype(object), "whole numbers, got an array of object"),
        ([], r"got shape \(0,\)"),
    ],
)
def test_what_are_no_rows_of_tokens_is_refused(
    compiled: CompiledPredictor, tokens: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compiled(tokens)


def test_a_part_of_too_many_forms_is_named_before_anything_is_listed() -> None:
    whole = mnasnet(resolution=32)
    names = tuple(decision.name for decision in whole.decisions)[:18]
    space = replace(whole, parts={**whole.parts, "block3": names})
    text = re.escape(
        "Part block3 of space mnasnet depends on 18 decisions and has 80,621,568 forms"
    )
    with pytest.raises(ValueError, match=f"{text}, but at most {MAX_FORMS:,} can be tabulated"):
        table_predictor(SMALL).compile(space)


def test_a_table_of_too_many_features_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_module, "_MAX_VALUES", 20)
    with pytest.raises(ValueError, match="Part block3 of space mnasnet has 18 forms of 4 features"):
        Curved().compile(SMALL)


def test_parts_that_do_not_say_all_they_depend_on_are_found_out() -> None:
    space = _two_blocks(block2=("layers",))
    with pytest.raises(ValueError, match="Part block2 of space two-blocks depends on more than l"):
        space_layers(space, "fp32")
    with pytest.raises(ValueError, match="Part block1 .* depends on more than nothing, as"):
        space_layers(_two_blocks(block1=()), "fp32")


def test_parts_that_name_decisions_or_leave_out_layers_wrongly_are_refused() -> None:
    with pytest.raises(ValueError, match=r"parts\['block2'\] .* there is no decision 'width'"):
        space_layers(_two_blocks(block2=("width",)), "fp32")
    space = _two_blocks()
    parts = {name: space.parts[name] for name in ("stem", "block1", "head")}
    with pytest.raises(ValueError, match="have layers in block2, which its `parts` do not name"):
        space_layers(replace(space, parts=parts), "fp32")


def test_a_part_that_is_in_no_network_costs_nothing() -> None:
    space = _two_blocks(tail=("kernel",))
    predictor = table_predictor(space)
    rows = all_rows(space)
    np.testing.assert_allclose(
        predictor.compile(space)(rows), slow_ms(predictor, space, rows), rtol=1e-12
    )


# --- before and after


def test_what_is_learnt_later_changes_only_what_is_compiled_later() -> None:
    predictor = CalibratedPredictor(table_predictor(SMALL))
    first = predictor.compile(SMALL)
    before_ms = first(ROWS)
    networks = [SMALL.decode(row) for row in ROWS[:10]]
    predictor.fit(networks, 2.0 * before_ms[:10])
    assert first(ROWS).tolist() == before_ms.tolist()
    np.testing.assert_allclose(predictor.compile(SMALL)(ROWS), 2.0 * before_ms, rtol=1e-9)


def test_layers_are_listed_once_and_forgotten_with_the_space() -> None:
    space = _two_blocks()
    listed = space_layers(space, "fp32")
    assert space_layers(space, "fp32") is listed
    assert space_layers(space, "int8") is not listed
    n_listed = len(layers_module._LISTED)
    del space
    gc.collect()
    assert len(layers_module._LISTED) == n_listed - 2


def test_each_distinct_layer_is_asked_for_once() -> None:
    asked: list[str] = []

    class Counting(Curved):
        def additive_features(self, graphs):  # type: ignore[no-untyped-def]
            asked.extend(graph.signature for graph in graphs)
            return super().additive_features(graphs)

    predictor: AdditivePredictor = Counting()
    predictor.compile(SMALL)
    assert len(asked) == len(set(asked))
    assert all(len(Graph.parse(signature).layers) == 1 for signature in asked)
