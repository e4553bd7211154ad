"""What measured networks say a predictor is still wrong about."""

import numpy as np
import pytest

from mnaslat.arrays import Floats, Tokens
from mnaslat.search.latency.choice_residual import ChoiceResidual

N_CHOICES = np.array([3, 2, 4, 2, 3])


def rows_of(n: int, seed: int) -> Tokens:
    return np.random.default_rng(seed).integers(0, N_CHOICES, size=(n, len(N_CHOICES)))


def true_factor(tokens: Tokens) -> Floats:
    """Networks with the second choice of the second decision take a third longer."""
    return np.where(tokens[:, 1] == 1, 1.3, 1.0)


def test_an_error_of_one_choice_is_learned_and_the_other_choices_keep_their_predictions() -> None:
    rows, predicted_ms = rows_of(30, 0), np.full(30, 5.0)
    residual = ChoiceResidual(N_CHOICES, rows, predicted_ms, predicted_ms * true_factor(rows))
    asked = rows_of(100, 1)
    assert residual.factor(asked) == pytest.approx(true_factor(asked), rel=0.02)


def test_where_measurements_agree_predictions_stay_as_they_are() -> None:
    rows, predicted_ms = rows_of(20, 0), np.linspace(3.0, 7.0, 20)
    residual = ChoiceResidual(N_CHOICES, rows, predicted_ms, predicted_ms)
    assert (residual.factor(rows_of(100, 1)) == 1.0).all()


def test_noise_alone_moves_predictions_by_less_than_its_size() -> None:
    rows, predicted_ms = rows_of(20, 0), np.full(20, 5.0)
    moves = []
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0.0, 0.03, 20)
        residual = ChoiceResidual(N_CHOICES, rows, predicted_ms, predicted_ms * np.exp(noise))
        moves.append(np.abs(residual.factor(rows_of(100, 1)) - 1.0).mean())
    assert np.mean(moves) < 0.01


def test_a_network_has_the_same_factor_alone_and_among_others() -> None:
    rows = rows_of(30, 0)
    residual = ChoiceResidual(N_CHOICES, rows, np.full(30, 5.0), 5.0 * true_factor(rows))
    together = residual.factor(rows)
    assert [float(residual.factor(row[None])[0]) for row in rows] == together.tolist()


def test_one_measured_network_is_enough_to_begin_with() -> None:
    rows = rows_of(1, 0)
    factor = ChoiceResidual(N_CHOICES, rows, np.array([4.0]), np.array([5.0])).factor(rows)[0]
    assert 1.0 < factor <= 1.25
