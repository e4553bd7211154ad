"""Trees are evaluated here as xgboost would, and arrays from strangers cannot lead astray."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from xgboost import XGBRegressor

from mnaslat.predictors.table.boosted_trees import Trees

SETTINGS = {"n_estimators": 30, "max_depth": 4, "learning_rate": 0.1, "min_child_weight": 1}


def _data(seed: int, n: int = 200) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, 5)) * np.array([1.0, 1e3, 1e-3, 1.0, 0.0])
    return inputs, inputs[:, 0] ** 2 + np.sin(inputs[:, 3]) + (inputs[:, 1] > 0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_predicts_what_xgboost_predicts(seed: int) -> None:
    inputs, targets = _data(seed)
    expected = XGBRegressor(**SETTINGS, n_jobs=1, random_state=0).fit(inputs, targets)
    fresh, _ = _data(seed + 100, n=9000)  # more rows than are taken at once
    found = Trees.grow(inputs, targets, SETTINGS).predict(fresh)
    np.testing.assert_allclose(found, expected.predict(fresh), rtol=1e-5, atol=1e-5)


def test_a_stump_worked_out_by_hand() -> None:
    trees = Trees(
        feature=np.array([[1, 0, 0]], np.int32),
        threshold=np.array([[2.5, -1.0, 4.0]], np.float32),
        left=np.array([[1, -1, -1]], np.int32),
        right=np.array([[2, -1, -1]], np.int32),
        base=10.0,
        n_features=2,
    )
    inputs = np.array([[9.0, 2.0], [9.0, 2.5], [9.0, 3.0]])  # at the threshold: to the right
    assert trees.predict(inputs).tolist() == [9.0, 14.0, 14.0]


def test_no_rows_give_no_predictions() -> None:
    inputs, targets = _data(0)
    assert Trees.grow(inputs, targets, SETTINGS).predict(inputs[:0]).shape == (0,)


def test_arrays_read_back_predict_the_same() -> None:
    inputs, targets = _data(0)
    trees = Trees.grow(inputs, targets, SETTINGS)
    again = Trees.from_arrays(trees.to_arrays(), n_features=5)
    assert (again.predict(inputs) == trees.predict(inputs)).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tree_left", 0),  # its own parent: an endless walk
        ("tree_left", -2),
        ("tree_right", 10_000),
        ("tree_feature", 5),
        ("tree_feature", -1),
        ("tree_threshold", np.nan),
        ("tree_base", np.inf),
    ],
)
def test_one_forged_value_is_refused(name: str, value: float) -> None:
    inputs, targets = _data(0)
    arrays = {
        key: array.copy()
        for key, array in Trees.grow(inputs, targets, SETTINGS).to_arrays().items()
    }
    arrays[name].flat[0] = value
    with pytest.raises(ValueError, match="the trees"):
        Trees.from_arrays(arrays, n_features=5)


@given(st.integers(0, 10**6), st.integers(-(2**31), 2**31 - 1))
def test_a_forged_child_is_refused_or_harmless(where: int, value: int) -> None:
    inputs, targets = _data(0, n=40)
    arrays = {
        key: array.copy()
        for key, array in Trees.grow(inputs, targets, {**SETTINGS, "n_estimators": 3})
        .to_arrays()
        .items()
    }
    arrays["tree_left"].flat[where % arrays["tree_left"].size] = value
    try:
        trees = Trees.from_arrays(arrays, n_features=5)
    except ValueError:
        return
    assert np.isfinite(trees.predict(inputs)).all()
