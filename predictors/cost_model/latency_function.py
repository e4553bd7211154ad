"""Computes a cost model's latency from summed features, with derivatives in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats
from mnaslat.predictors.cost_model.fit import LEAST_MS

# Kernel values below this are dropped: their effect on a log latency.
_NEGLIGIBLE = 1e-10
# The root of a contribution has no derivative at 0. Below this root, the derivative is that of the
# chord to a root twice as large.
_LEAST_ROOT = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class FitPart:
    """The term that a fit, or one of its priors, adds to a log latency.

    Attributes:
        weight: 1 for the fit, a fraction for a prior.
        factors: Factors on the terms' initial estimates, shape ``(terms,)``.
        roots: Square roots of the measured networks' contributions, shape ``(known, terms)``.
        pulls: Influence of each measured network on the log latency of an equal one, shape
            ``(known,)``; empty without model discrepancy between networks.
        reach: Length scale of that influence, in roots of contributions.
    """

    weight: float
    factors: Floats
    roots: Floats
    pulls: Floats
    reach: float


class CostFunction:
    """Computes milliseconds from the features of ``CostPosterior``: sums and the term matrix.

    With T_f and B_f of each fit f, the first of them the fit itself and the others its priors, the
    log latency is::

        log T_1 + sum_f weight_f (B_f / T_f + sum_j pull_fj exp(-|r_f - R_fj|^2 / (2 reach_f^2)))

    r_f are the square roots of the terms' contributions to T_f, R_fj those of measured networks.

    Args:
        parts: One for the fit, then one for each prior.
        used: Whether any network has the term, shape ``(terms,)``.
    """

    def __init__(self, parts: Sequence[FitPart], used: NDArray[np.bool_]) -> None:
        self._n_sums = 2 * len(parts)
        self._weights = np.array([part.weight for part in parts])
        curved = any(part.pulls.size for part in parts)
        terms = np.flatnonzero(used) if curved else np.zeros(0, dtype=np.intp)
        self._kernels = {
            number: _Kernel(part, terms) for number, part in enumerate(parts) if part.pulls.size
        }
        self.columns: NDArray[np.intp] = np.append(np.arange(self._n_sums), self._n_sums + terms)

    def latency_ms(self, features: Floats) -> Floats:
        """Predict milliseconds, shape ``(n,)``, from the features at ``columns``."""
        total_ms = np.maximum(features[:, 0], LEAST_MS)
        with np.errstate(over="ignore", invalid="ignore"):  # callers check that it is finite
            return np.asarray(total_ms * np.exp(self.misfit(features)))

    def misfit(self, features: Floats) -> Floats:
        """Return the model discrepancy, of log latency, shape ``(n,)``."""
        totals_ms = np.maximum(features[:, : self._n_sums : 2], LEAST_MS)
        found: Floats = (features[:, 1 : self._n_sums : 2] / totals_ms) @ self._weights
        if self._kernels:
            roots = np.sqrt(features[:, self._n_sums :])
            for number, kernel in self._kernels.items():
                found += kernel.misfit(roots, totals_ms[:, number])
        return found

    def slopes(self, features: Floats) -> Floats:
        """Return the derivative of the latency by each feature, shape ``(n, columns)``."""
        log_slopes = np.zeros_like(features)
        of_totals = log_slopes[:, : self._n_sums : 2]
        of_pulled = log_slopes[:, 1 : self._n_sums : 2]
        of_amounts = log_slopes[:, self._n_sums :]
        totals_ms = np.maximum(features[:, : self._n_sums : 2], LEAST_MS)
        of_pulled[:] = self._weights / totals_ms
        of_totals[:] = -features[:, 1 : self._n_sums : 2] * of_pulled / totals_ms
        of_totals[:, 0] += 1.0 / totals_ms[:, 0]
        roots = np.sqrt(features[:, self._n_sums :])
        for number, kernel in self._kernels.items():
            by_amount, by_total = kernel.slopes(roots, totals_ms[:, number])
            of_amounts += by_amount
            of_totals[:, number] += by_total
        return np.asarray(log_slopes * self.latency_ms(features)[:, None])


class _Kernel:
    """The kernel between networks and the measured networks of a fit, over the terms in use."""

    def __init__(self, part: FitPart, terms: NDArray[np.intp]) -> None:
        nearness, pulls = part.reach**-2, part.weight * part.pulls
        roots = part.roots[:, terms]
        # |r - R|^2 = |r|^2 + |R|^2 - 2 r.R, and |r|^2 is 1.
        far = -0.5 * nearness * (1.0 + np.square(part.roots).sum(axis=1))
        nearest = far + nearness * np.sqrt(np.square(roots).sum(axis=1))
        matters = np.abs(pulls) * np.exp(np.minimum(nearest, 0.0)) > _NEGLIGIBLE / len(pulls)
        self._root_factors = np.sqrt(part.factors[terms])
        self._towards = nearness * np.ascontiguousarray(roots[matters].T)  # (terms, known)
        self._scaled = self._root_factors[:, None] * self._towards
        self._far, self._pulls = far[matters], pulls[matters]

    def misfit(self, roots: Floats, total_ms: Floats) -> Floats:
        """Return the discrepancy, shape ``(n,)``, from roots of the term matrix and latencies."""
        return np.asarray(self._alike(roots, total_ms) @ self._pulls)

    def slopes(self, roots: Floats, total_ms: Floats) -> tuple[Floats, Floats]:
        """Return derivatives by each term, shape ``(n, terms)``, and by the total, ``(n,)``."""
        by_share_root = (self._alike(roots, total_ms) * self._pulls) @ self._towards.T
        share_roots = roots * self._root_factors / np.sqrt(total_ms)[:, None]
        # r_t = sqrt(f_t a_t / T)
        by_amount = by_share_root / np.maximum(share_roots, _LEAST_ROOT)
        by_amount *= 0.5 * self._root_factors**2 / total_ms[:, None]
        return by_amount, -0.5 * (by_share_root * share_roots).sum(axis=1) / total_ms

    def _alike(self, roots: Floats, total_ms: Floats) -> Floats:
        """Return the kernel with each measured network, shape ``(n, known)``."""
        alike = (roots / np.sqrt(total_ms)[:, None]) @ self._scaled
        alike += self._far
        np.exp(alike, out=alike)
        return alike
