"""The model of accuracies says what the formulas say, and learns which choices matter."""

import numpy as np
import pytest
import torch

from mnaslat.search.searchers.gaussian_process import GaussianProcess

N_CHOICES = torch.tensor([3, 2, 4, 3, 2])


def rows_of(n: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.rand(n, len(N_CHOICES), generator=torch.Generator().manual_seed(seed))
    return (drawn * N_CHOICES).long()


def truth(tokens: torch.Tensor) -> torch.Tensor:
    """Two decisions matter, and what they do to each other; the others do not."""
    first, third = tokens[:, 0].double(), tokens[:, 2].double()
    return 0.6 + 0.04 * first + 0.03 * third - 0.02 * (first == 2) * (third == 3)


def fitted(n: int) -> GaussianProcess:
    model = GaussianProcess(N_CHOICES)
    tokens = rows_of(n)
    model.fit_weights(tokens, truth(tokens), torch.Generator().manual_seed(0))
    model.condition(tokens, truth(tokens))
    return model


def by_hand(known: torch.Tensor, asked: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance at ``asked`` with the weights that the priors expect, in NumPy loops."""
    weight, slope, noise = 1 / len(N_CHOICES), 1.0, 0.02 + 1e-6

    def kernel(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
        same = np.array([[(x == y).sum().item() for y in b] for x in a])
        return np.asarray(np.exp(-weight * (len(N_CHOICES) - same)) + slope * weight * same)

    z = -np.log(1.0 - truth(known).numpy())
    inverse = np.linalg.inv(kernel(known, known) + noise * np.eye(len(known)))
    mean = inverse.sum(0) @ z / inverse.sum()
    s2 = (z - mean) @ inverse @ (z - mean) / len(z)
    cross = kernel(asked, known)
    return (
        np.asarray(mean + cross @ inverse @ (z - mean)),
        np.asarray(s2 * (kernel(asked, asked) - cross @ inverse @ cross.T)),
    )


def test_guesses_and_draws_are_those_of_the_formulas() -> None:
    known, asked = rows_of(12), rows_of(5, seed=1)
    model = GaussianProcess(N_CHOICES)
    model.condition(known, truth(known))
    mean, covariance = by_hand(known, asked)
    np.testing.assert_allclose(model.predict(asked).numpy(), 1 - np.exp(-mean), rtol=1e-9)
    drawn = model.draw(asked, 40_000, torch.Generator().manual_seed(0), 1.0).numpy()
    z = -np.log(1.0 - drawn)
    deviation = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(z.mean(0), mean, atol=5 * deviation.max() / 200)
    np.testing.assert_allclose(np.cov(z.T), covariance, atol=0.05 * deviation.max() ** 2)
    wide = -np.log(1.0 - model.draw(asked, 40_000, torch.Generator().manual_seed(0), 3.0).numpy())
    np.testing.assert_allclose(wide - mean, 3.0 * (z - mean), atol=1e-9)


def test_it_learns_what_matters() -> None:
    asked = rows_of(200, seed=5)
    error = (fitted(60).predict(asked) - truth(asked)).abs().mean().item()
    assert error < 0.1 * truth(asked).std().item()
    # Two networks that differ in what does not matter are near each other.
    pair = torch.tensor([[1, 0, 2, 0, 0], [1, 1, 2, 2, 1]])
    guesses = fitted(60).predict(pair)
    assert guesses[0].item() == pytest.approx(guesses[1].item(), abs=2e-3)


def test_it_is_less_sure_far_from_what_it_knows() -> None:
    model = GaussianProcess(N_CHOICES)
    known = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0]])
    model.condition(known, torch.tensor([0.6, 0.7, 0.65]).double())
    asked = torch.tensor([[0, 0, 0, 0, 0], [2, 1, 3, 2, 1]])
    near, far = model.draw(asked, 500, torch.Generator().manual_seed(0), 1.0).std(0)
    assert far > 2 * near


def test_weights_are_fitted_again_only_for_a_tenth_more_rows() -> None:
    model, generator = fitted(60), torch.Generator().manual_seed(0)
    before = model.state()["raw"]
    model.fit_weights(rows_of(65), truth(rows_of(65)), generator)
    assert torch.equal(model.state()["raw"], before)
    model.fit_weights(rows_of(67), truth(rows_of(67)), generator)
    assert not torch.equal(model.state()["raw"], before)


def test_equal_and_perfect_accuracies_are_no_trouble() -> None:
    for value in (0.0, 0.5, 1.0):
        model, tokens = GaussianProcess(N_CHOICES), rows_of(30)
        accuracies = torch.full((30,), value).double()
        model.fit_weights(tokens, accuracies, torch.Generator().manual_seed(0))
        model.condition(tokens, accuracies)
        asked = rows_of(10, seed=3)
        np.testing.assert_allclose(model.predict(asked), value, atol=1e-3)
        assert bool(model.draw(asked, 3, torch.Generator().manual_seed(0), 5.0).isfinite().all())


def test_restored_it_guesses_the_same() -> None:
    model, again = fitted(60), GaussianProcess(N_CHOICES)
    again.restore(model.state())
    again.condition(rows_of(60), truth(rows_of(60)))
    asked = rows_of(10, seed=2)
    assert torch.equal(again.predict(asked), model.predict(asked))
    with pytest.raises(ValueError, match="another space"):
        GaussianProcess(torch.tensor([2, 2])).restore(model.state())
