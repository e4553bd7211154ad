"""The latency of a cost model as a function of a network's sums, with its slopes in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats
from mnaslat.predictors.cost_model.fit import LEAST_MS

# What known networks that no network of a space is like may add to a log latency.
_NEGLIGIBLE = 1e-10
# The root of a share has no slope at 0. Below this root, the slope is that of the chord to a root
# twice as large.
_LEAST_ROOT = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class FitPart:
    """What a fit, or one of its priors, adds to a log latency.

    Attributes:
        weight: 1 for the fit, a share of it for a prior.
        factors: On the terms' guesses, shape ``(terms,)``.
        roots: Of the known networks' shares, shape ``(known, terms)``.
        pulls: Of each known network on the log latency of one just like it, shape ``(known,)``;
            empty if networks have nothing in common but their terms and layers.
        reach: How unlike networks may be and still share that.
    """

    weight: float
    factors: Floats
    roots: Floats
    pulls: Floats
    reach: float


class CostFunction:
    """Milliseconds of sums and amounts, as ``CostView`` names them.

    With T_f and B_f of each fit f, the first of them the fit itself and the others its priors, the
    log latency is::

        log T_1 + sum_f weight_f (B_f / T_f + sum_j pull_fj exp(-|r_f - R_fj|^2 / (2 reach_f^2)))

    r_f are the roots of the shares that the terms have in T_f, R_fj those of known networks.

    Args:
        parts: Of the fits.
        used: Whether any network has some of a term, shape ``(terms,)``.
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
        """Latency in milliseconds, shape ``(n,)``, of the features at ``columns``."""
        total_ms = np.maximum(features[:, 0], LEAST_MS)
        with np.errstate(over="ignore", invalid="ignore"):  # who asks refuses what is not finite
            return np.asarray(total_ms * np.exp(self.misfit(features)))

    def misfit(self, features: Floats) -> Floats:
        """Logarithm of the factor that the terms do not describe, shape ``(n,)``."""
        totals_ms = np.maximum(features[:, : self._n_sums : 2], LEAST_MS)
        found: Floats = (features[:, 1 : self._n_sums : 2] / totals_ms) @ self._weights
        if self._kernels:
            roots = np.sqrt(features[:, self._n_sums :])
            for number, kernel in self._kernels.items():
                found += kernel.misfit(roots, totals_ms[:, number])
        return found

    def slopes(self, features: Floats) -> Floats:
        """Change of the latency with each feature, shape ``(n, columns)``."""
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
    """What networks have in common with those known to a fit, over the terms at hand."""

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
        """Shape ``(n,)``, of the roots of amounts and their total latency."""
        return np.asarray(self._alike(roots, total_ms) @ self._pulls)

    def slopes(self, roots: Floats, total_ms: Floats) -> tuple[Floats, Floats]:
        """Change with each amount, shape ``(n, terms)``, and with the total, shape ``(n,)``."""
        by_share_root = (self._alike(roots, total_ms) * self._pulls) @ self._towards.T
        share_roots = roots * self._root_factors / np.sqrt(total_ms)[:, None]
        # r_t = sqrt(f_t a_t / T)
        by_amount = by_share_root / np.maximum(share_roots, _LEAST_ROOT)
        by_amount *= 0.5 * self._root_factors**2 / total_ms[:, None]
        return by_amount, -0.5 * (by_share_root * share_roots).sum(axis=1) / total_ms

    def _alike(self, roots: Floats, total_ms: Floats) -> Floats:
        """Likeness to each known network, shape ``(n, known)``."""
        alike = (roots / np.sqrt(total_ms)[:, None]) @ self._scaled
        alike += self._far
        np.exp(alike, out=alike)
        return alike
