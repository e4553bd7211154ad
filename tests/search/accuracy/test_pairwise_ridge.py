"""A ridge on pairs of choices learns what it can express, and predicts what it learned."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.search.accuracy.pairwise_ridge import PairRidge, n_pair_features, one_hot

N_CHOICES = np.array([2, 3, 2])


def all_rows() -> np.ndarray:
    """The twelve rows of the made-up space."""
    return np.stack(np.unravel_index(np.arange(12), N_CHOICES), axis=1)


def test_features_worked_out_by_hand() -> None:
    assert one_hot(np.array([[1, 2, 0]]), N_CHOICES).tolist() == [[0, 1, 0, 0, 1, 1, 0]]
    # Seven choices, and 2 * 3 + 2 * 2 + 3 * 2 pairs.
    assert n_pair_features(N_CHOICES) == 7 + 16


def test_single_worths_are_found() -> None:
    rows = all_rows()
    targets = 0.5 + 0.1 * (rows[:, 0] == 1) - 0.2 * (rows[:, 1] == 2)
    model = PairRidge.fit(rows, targets, N_CHOICES, strength=1e-9)
    assert model.predict(rows) == pytest.approx(targets, abs=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_any_worths_of_pairs_are_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    worth = rng.normal(size=(7, 7))
    rows = all_rows()
    chosen = one_hot(rows, N_CHOICES)
    targets = np.einsum("ni,ij,nj->n", chosen, worth, chosen)
    model = PairRidge.fit(rows, targets, N_CHOICES, strength=1e-9)
    assert model.predict(rows) == pytest.approx(targets, abs=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_a_stronger_ridge_says_less(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, targets = all_rows(), rng.normal(size=12)
    weak, strong = (
        PairRidge.fit(rows, targets, N_CHOICES, strength=strength) for strength in (0.1, 1e6)
    )
    assert np.std(strong.predict(rows)) < np.std(weak.predict(rows))
    assert strong.predict(rows) == pytest.approx(np.full(12, targets.mean()), abs=1e-4)


def test_three_decisions_together_are_beyond_it() -> None:
    rows = all_rows()
    parity = (rows.sum(axis=1) % 2).astype(float)
    model = PairRidge.fit(rows, parity, N_CHOICES, strength=1e-9)
    assert np.abs(model.predict(rows) - parity).max() > 0.1
