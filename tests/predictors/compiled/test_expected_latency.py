"""Expected latency of choice probabilities: at the corners, between them, and its slope."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mnaslat.arrays import Floats
from mnaslat.lowering import lower
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.compiled.additive import AdditivePredictor
from mnaslat.predictors.compiled.expected_latency import ExpectedLatency
from mnaslat.space.mnasnet import mnasnet
from tests.predictors.additive_cases import (
    CORRECTIONS,
    Curved,
    all_rows,
    corrected,
    corrected_cost_model,
    cost_model,
    slow_ms,
    small_space,
    table_predictor,
)

SMALL = small_space()
ROWS = all_rows(SMALL)
SIZES = SMALL.n_choices.tolist()
LINEAR = ["none", "scale", "affine", "affine, with less than nothing at the end"]


def _one_hot(rows: np.ndarray, sizes: Sequence[int] = SIZES) -> list[Tensor]:
    columns = torch.tensor(rows).T
    return [
        torch.nn.functional.one_hot(column, size).to(torch.float32)
        for column, size in zip(columns, sizes, strict=True)
    ]


def _random(batch: int, seed: int, sizes: Sequence[int] = SIZES) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, size, dtype=torch.float64, generator=generator).softmax(-1)
        for size in sizes
    ]


def _chances(probabilities: Sequence[Tensor]) -> Floats:
    """Of every network of the small space, shape ``(batch, networks)``."""
    each = [one.numpy()[:, ROWS[:, position]] for position, one in enumerate(probabilities)]
    chances: Floats = np.prod(each, axis=0)
    return chances


@pytest.mark.parametrize("name", CORRECTIONS)
def test_where_every_choice_is_certain_it_is_the_networks_latency(name: str) -> None:
    predictor = corrected(SMALL, name)
    found_ms = predictor.differentiable(SMALL)(_one_hot(ROWS))
    assert found_ms.shape == (144,) and found_ms.dtype == torch.float32
    np.testing.assert_allclose(found_ms, predictor.compile(SMALL)(ROWS), rtol=1e-5)


@pytest.mark.parametrize(
    "predictor",
    [Curved(), cost_model(SMALL), corrected_cost_model(SMALL)],
    ids=["curved", "cost model", "corrected cost model"],
)
def test_certain_choices_are_exact_whatever_the_function(predictor: AdditivePredictor) -> None:
    found_ms = predictor.differentiable(SMALL)(_one_hot(ROWS))
    np.testing.assert_allclose(found_ms, predictor.compile(SMALL)(ROWS), rtol=1e-5)


def test_random_networks_of_the_whole_space_have_their_latency() -> None:
    space = mnasnet()
    predictor = CalibratedPredictor(table_predictor(space))
    predictor.correction = CORRECTIONS["memory"]
    rows = space.sample(200, np.random.default_rng(2))
    found_ms = predictor.differentiable(space)(_one_hot(rows, space.n_choices.tolist()))
    np.testing.assert_allclose(found_ms, predictor.compile(space)(rows), rtol=1e-5)


@pytest.mark.parametrize("name", LINEAR)
def test_the_expectation_is_that_of_all_networks_by_their_chances(name: str) -> None:
    predictor = corrected(SMALL, name)
    each_ms = slow_ms(predictor, SMALL, ROWS)
    expected_ms = predictor.differentiable(SMALL).double()

    @given(seed=st.integers(0, 2**32 - 1))
    def check(seed: int) -> None:
        probabilities = _random(3, seed)
        chances = _chances(probabilities)
        assert chances.sum(axis=1) == pytest.approx([1.0] * 3, rel=1e-12)
        np.testing.assert_allclose(expected_ms(probabilities), chances @ each_ms, rtol=1e-6)

    check()


@pytest.mark.parametrize(
    ("predictor", "below"),
    [(corrected(SMALL, "memory"), True), (Curved(), False)],
    ids=["memory, which bends upwards", "roots, which bend downwards"],
)
def test_of_other_functions_it_is_the_value_at_the_expected_sums(
    predictor: "CalibratedPredictor | Curved", below: bool
) -> None:
    features = predictor.additive_features([lower(SMALL.decode(row)) for row in ROWS])
    each_ms = slow_ms(predictor, SMALL, ROWS)
    expected_ms = predictor.differentiable(SMALL).double()

    @given(seed=st.integers(0, 2**32 - 1))
    def check(seed: int) -> None:
        probabilities = _random(3, seed)
        chances = _chances(probabilities)
        found_ms = expected_ms(probabilities).numpy()
        of_sums_ms = predictor.from_features(chances @ features)
        np.testing.assert_allclose(found_ms, of_sums_ms, rtol=1e-6)
        # Jensen's inequality; and near enough to steer by.
        exact_ms = chances @ each_ms
        assert ((found_ms < exact_ms) == below).all()
        np.testing.assert_allclose(found_ms, exact_ms, rtol=0.1)

    check()


# --- gradients


@pytest.mark.parametrize(
    "predictor",
    [
        *(corrected(SMALL, name) for name in CORRECTIONS),
        Curved(),
        cost_model(SMALL),
        corrected_cost_model(SMALL),
    ],
    ids=[*CORRECTIONS, "curved", "cost model", "corrected cost model"],
)
def test_gradients_agree_with_finite_differences(predictor: AdditivePredictor) -> None:
    expected_ms = predictor.differentiable(SMALL).double()
    logits = [
        torch.randn(2, size, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
        for size in SIZES
        if size > 1
    ]
    closed = torch.ones(2, 1, dtype=torch.float64)

    def of_logits(*logits: Tensor) -> Tensor:
        left = iter(logits)
        each = [next(left).softmax(-1) if size > 1 else closed for size in SIZES]
        found: Tensor = expected_ms(each)
        return found

    inputs = tuple(one.requires_grad_() for one in logits)
    assert torch.autograd.gradcheck(of_logits, inputs, eps=1e-4, atol=1e-4, rtol=1e-4)


def test_the_slope_towards_a_choice_is_what_it_costs() -> None:
    predictor = corrected(SMALL, "scale")
    position = [decision.name for decision in SMALL.decisions].index("block3.op")
    each = [one.requires_grad_() for one in _one_hot(ROWS[:1])]
    predictor.differentiable(SMALL)(each).sum().backward()
    rows = np.repeat(ROWS[:1], 3, axis=0)
    rows[:, position] = range(3)
    slopes = each[position].grad
    assert slopes is not None
    np.testing.assert_allclose(
        np.diff(slopes[0]), np.diff(slow_ms(predictor, SMALL, rows)), rtol=1e-4
    )


def test_a_feature_that_a_network_has_none_of_has_a_finite_slope() -> None:
    certain = [one.requires_grad_() for one in _one_hot(ROWS)]
    Curved().differentiable(SMALL)(certain).sum().backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in certain)


def test_going_downhill_ends_at_the_fastest_network() -> None:
    predictor = corrected(SMALL, "affine")
    expected_ms = predictor.differentiable(SMALL)
    logits = torch.zeros(sum(SIZES), requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = expected_ms([one.softmax(-1) for one in torch.split(logits, SIZES)])
        loss.backward()
        optimizer.step()
    chosen = np.array([int(one.argmax()) for one in torch.split(logits, SIZES)])
    all_ms = slow_ms(predictor, SMALL, ROWS)
    assert predictor.predict_ms(SMALL.decode(chosen)) == pytest.approx(all_ms.min(), rel=1e-9)
    assert loss.item() == pytest.approx(all_ms.min(), rel=1e-3)


# --- shapes


@pytest.fixture(scope="module")
def expected_ms() -> ExpectedLatency:
    return corrected(SMALL, "memory").differentiable(SMALL)


def test_lists_and_flat_tensors_and_single_rows_agree(expected_ms: ExpectedLatency) -> None:
    each = [one.float() for one in _random(4, 0)]
    of_list = expected_ms(each)
    assert expected_ms(tuple(each)).tolist() == of_list.tolist()
    assert expected_ms(torch.cat(each, dim=1)).tolist() == of_list.tolist()
    for row, one in enumerate(of_list):
        single = expected_ms([each_one[row] for each_one in each])
        assert single.shape == ()
        assert float(single) == pytest.approx(float(one), rel=1e-5)
        flat = expected_ms(torch.cat([each_one[row] for each_one in each]))
        assert float(flat) == float(single)


def test_no_rows_have_no_latencies(expected_ms: ExpectedLatency) -> None:
    assert expected_ms(torch.zeros(0, sum(SIZES))).shape == (0,)
    assert corrected(SMALL, "scale").differentiable(SMALL)(torch.zeros(0, sum(SIZES))).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(
    expected_ms: ExpectedLatency, dtype: torch.dtype
) -> None:
    found_ms = expected_ms([one.to(dtype) for one in _one_hot(ROWS)])
    assert found_ms.dtype == torch.float32
    assert found_ms.tolist() == expected_ms(_one_hot(ROWS)).tolist()


def test_nothing_of_it_is_saved_with_a_network(expected_ms: ExpectedLatency) -> None:
    assert expected_ms.state_dict() == {}
    assert list(expected_ms.parameters()) == []


# --- what is refused


@pytest.mark.parametrize("change", [0.5, -0.5, float("nan"), float("inf")])
def test_what_are_no_probabilities_is_refused(expected_ms: ExpectedLatency, change: float) -> None:
    each = _random(3, 1)
    position = [decision.name for decision in SMALL.decisions].index("block3.op")
    each[position][2, 1] += change
    text = r"probabilities of block3\.op must be at least 0 and sum to 1, got \[.*Put a softmax"
    with pytest.raises(ValueError, match=text):
        expected_ms(each)


def test_below_zero_is_refused_though_the_sum_is_right(expected_ms: ExpectedLatency) -> None:
    each = _one_hot(ROWS[:1])
    position = [decision.name for decision in SMALL.decisions].index("block2.filters")
    each[position][0] = torch.tensor([1.5, -0.5, 0.0])
    with pytest.raises(ValueError, match=r"block2\.filters .* got \[1\.5, -0\.5, 0\.0\]"):
        expected_ms(each)


def test_wrong_shapes_are_refused(expected_ms: ExpectedLatency) -> None:
    each, total = _random(3, 1), sum(SIZES)
    with pytest.raises(ValueError, match=rf"expected shape \(batch, {total}\), got \(3, 5\)"):
        expected_ms(torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"got \(2, 3, \d+\)"):
        expected_ms(torch.zeros(2, 3, total))
    with pytest.raises(ValueError, match="has 42 decisions, got probabilities of 41"):
        expected_ms(each[:-1])
    with pytest.raises(ValueError, match=r"block1.layers has 2 choices: .* \(3, 2\), got \(3, 4\)"):
        expected_ms([torch.ones(3, 4) / 4 if size == 2 else one
                     for size, one in zip(SIZES, each, strict=True)])  # fmt: skip
    with pytest.raises(ValueError, match=r"block1.kernel has 1 choices: .* \(3, 1\), got \(1, 1\)"):
        expected_ms([one if n != 1 else one[:1] for n, one in enumerate(each)])


def test_it_is_linear_in_the_probabilities_of_each_decision() -> None:
    expected_ms = corrected(SMALL, "affine").differentiable(SMALL).double()
    first, second = _random(1, 3), _random(1, 4)
    open_ = [position for position, size in enumerate(SIZES) if size > 1]
    for position, share in itertools.product(open_, (0.25, 0.8)):
        changed, mixed = list(first), list(first)
        changed[position] = second[position]
        mixed[position] = share * first[position] + (1 - share) * second[position]
        between = share * expected_ms(first) + (1 - share) * expected_ms(changed)
        assert float(expected_ms(mixed)) == pytest.approx(float(between), rel=1e-12)
