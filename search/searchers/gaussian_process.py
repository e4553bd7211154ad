"""Models accuracies by a Gaussian process over rows of choices.

Latency and reward are no part of it. With ``z = -log(1 - accuracy) = mean + f + noise``, f has the
covariance::

    s2 * (exp(-d(a, b)) + slope * sum_i w[a_i] [a_i = b_i])
    d(a, b) = sum_i [a_i != b_i] (w[a_i] + w[b_i]) / 2

a and b being networks and ``a_i`` the i-th choice of a: each choice of every decision has a weight,
choices that matter little being near all others. The first term models interactions: similar
networks have similar accuracies. The second carries what each choice does by itself.

``mean`` and ``s2`` are profiled out; weights, slope and noise have log-normal priors and maximise
the likelihood (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapter 5).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_N_FITTED = 300  # rows, chosen at random, that the weights are fitted on
_FIRST_STEPS, _STEPS, _STEP_SIZE = 60, 15, 0.1  # of Adam: the first time, and then
_GROWTH = 1.1  # the weights are fitted again when there are this many times the rows
_LEAST_ERROR = 1e-4  # accuracies nearer to 1 count as this near
_USUAL_NOISE, _LEAST_NOISE = 0.02, 1e-6  # variance, in shares of s2
_JITTER = 1e-6  # keeps the covariance of drawn rows positive in spite of rounding


class GaussianProcess:
    """Predicts accuracies and their uncertainty.

    Args:
        n_choices: Of each decision, shape ``(decisions,)``.
    """

    def __init__(self, n_choices: Tensor) -> None:
        self._offsets = n_choices.cumsum(0) - n_choices
        self._width = int(n_choices.sum())
        self._log_weight = -math.log(len(n_choices))
        # Weights, slope and noise, as deviations from their priors.
        self._raw = torch.zeros(self._width + 2, dtype=torch.float64)
        self._n_next_fit = 0.0

    def fit_weights(self, tokens: Tensor, accuracies: Tensor, generator: torch.Generator) -> None:
        """Learn the weights, if there are enough more rows than the last time.

        Args:
            tokens: Shape ``(n, decisions)``.
            accuracies: Double precision, shape ``(n,)``.
            generator: Chooses rows where they are many.
        """
        if len(tokens) < self._n_next_fit:
            return
        chosen = torch.randperm(len(tokens), generator=generator)[:_N_FITTED]
        x, z = self._one_hot(tokens[chosen]), _warped(accuracies[chosen])
        raw = self._raw.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([raw], lr=_STEP_SIZE)
        for _ in range(_STEPS if self._n_next_fit else _FIRST_STEPS):
            factor, _, _, s2 = self._solved(raw, x, z)
            log_det = factor.diagonal().log().sum()
            loss = 0.5 * len(z) * torch.log(s2) + log_det + 0.5 * raw.square().sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch
            optimizer.step()
        self._raw, self._n_next_fit = raw.detach(), _GROWTH * len(tokens)

    @torch.no_grad()
    def condition(self, tokens: Tensor, accuracies: Tensor) -> None:
        """Condition all predictions on these rows."""
        self._x = self._one_hot(tokens)
        solved = self._solved(self._raw, self._x, _warped(accuracies))
        self._factor, self._mean, self._alpha, self._s2 = solved

    @torch.no_grad()
    def predict(self, tokens: Tensor) -> Tensor:
        """Predict the most likely accuracies, shape ``(n,)``."""
        cross = self._kernel(self._raw, self._one_hot(tokens), self._x)
        return 1.0 - torch.exp(-self._mean - cross @ self._alpha)

    @torch.no_grad()
    def draw(self, tokens: Tensor, n: int, generator: torch.Generator, spread: float) -> Tensor:
        """Draw from the posterior of the accuracies, without the noise of a single training.

        Args:
            tokens: Shape ``(rows, decisions)``.
            n: Joint draws.
            generator: Draws them.
            spread: Factor on the standard deviations.

        Returns:
            Shape ``(n, rows)``.
        """
        rows = self._one_hot(tokens)
        cross = self._kernel(self._raw, rows, self._x)
        solved = torch.linalg.solve_triangular(self._factor, cross.t(), upper=False)
        covariance = self._kernel(self._raw, rows, rows) - solved.t() @ solved
        factor = torch.linalg.cholesky(covariance + _JITTER * torch.eye(len(rows)).double())
        normal = torch.randn(n, len(rows), generator=generator, dtype=rows.dtype)
        z = self._mean + cross @ self._alpha + spread * self._s2.sqrt() * (normal @ factor.t())
        return 1.0 - torch.exp(-z)

    def state(self) -> dict[str, Any]:
        """Return what was learned but for ``condition``."""
        return {"raw": self._raw, "n_next_fit": self._n_next_fit}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state`` returned.

        Raises:
            ValueError: If it is of another space.
        """
        if state["raw"].shape != self._raw.shape:
            raise ValueError("the surrogate is of another space")
        self._raw, self._n_next_fit = state["raw"], float(state["n_next_fit"])

    def _one_hot(self, tokens: Tensor) -> Tensor:
        rows = torch.zeros(len(tokens), self._width, dtype=torch.float64)
        return rows.scatter_(1, tokens + self._offsets, 1.0)

    def _kernel(self, raw: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """In shares of s2, shape ``(rows of a, rows of b)``."""
        weights, slope = torch.exp(self._log_weight + raw[:-2]), torch.exp(raw[-2])
        same = (a * weights) @ b.t()
        apart = 0.5 * ((a @ weights)[:, None] + (b @ weights)) - same
        return torch.exp(-apart) + slope * same

    def _solved(self, raw: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cholesky factor, mean, alpha = K^-1 (z - mean), s2."""
        noise = _USUAL_NOISE * torch.exp(2.0 * raw[-1]) + _LEAST_NOISE
        factor = torch.linalg.cholesky(
            self._kernel(raw, x, x) + noise * torch.eye(len(z), dtype=z.dtype)
        )
        solved = torch.cholesky_solve(torch.stack((z, torch.ones_like(z)), 1), factor)
        mean = solved[:, 0].sum() / solved[:, 1].sum()
        alpha = solved[:, 0] - mean * solved[:, 1]
        # The likelihood would diverge with the zero variance of equal accuracies.
        return factor, mean, alpha, ((z - mean) @ alpha / len(z)).clamp(min=1e-12)


def _warped(accuracies: Tensor) -> Tensor:
    return -torch.log((1.0 - accuracies).clamp(min=_LEAST_ERROR))
