"""Calibrates interval widths on networks, and families of networks, left out of a fit.

The model's standard deviation says which networks are harder to predict. The number of standard
deviations to each side is a quantile over networks left out: left out alone for a network like
those measured; left out with all similar networks for a new kind. The standard deviation decides
between the two. Both come from the inverse covariance of the fit, without refitting.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.predictors.cost_model.fit import CostFit

# Pseudo-observations of normal errors: few networks cannot determine a quantile alone.
_N_NORMAL = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class IntervalScores:
    """Errors of networks left out, in standard deviations.

    Attributes:
        alone: Errors of each network left out alone, ascending, shape ``(n,)``.
        with_family: Errors of each network left out with its family, ascending, shape ``(n,)``.
        n_families: Number of families.
        usual_deviation: Median standard deviation of networks left out alone.
        novel_deviation: Median standard deviation of networks left out with their family.
    """

    alone: Floats
    with_family: Floats
    n_families: int
    usual_deviation: float
    novel_deviation: float

    @classmethod
    def of_fit(cls, fit: CostFit) -> "IntervalScores":
        """Compute the errors with each network, and each family, of a fit left out."""
        deviations = _sound_deviations(1.0 / np.diag(fit.inverse), fit.excess)
        alone = np.abs(fit.dual) / np.diag(fit.inverse) / deviations
        families = _families(fit)
        scores, family_deviations = np.empty(len(families)), np.empty(len(families))
        for family in np.unique(families):
            inside = np.flatnonzero(families == family)
            covariance = np.linalg.inv(fit.inverse[np.ix_(inside, inside)])
            family_deviations[inside] = _sound_deviations(np.diag(covariance), fit.excess[inside])
            scores[inside] = np.abs(covariance @ fit.dual[inside]) / family_deviations[inside]
        return cls(
            alone=np.sort(alone),
            with_family=np.sort(scores),
            n_families=len(np.unique(families)),
            usual_deviation=float(np.median(deviations)),
            novel_deviation=float(np.median(family_deviations)),
        )

    def n_deviations(self, deviation: Floats, coverage: float) -> Floats:
        """Return the half width of intervals in standard deviations, shape as ``deviation``."""
        known = self._quantile(self.alone, len(self.alone), coverage)
        new = self._quantile(self.with_family, self.n_families, coverage)
        span = math.log(max(self.novel_deviation / self.usual_deviation, 1.01))
        novelty = np.clip(np.log(deviation / self.usual_deviation) / span, 0.0, 1.0)
        return np.asarray(known + (new - known) * novelty)

    def _quantile(self, scores: Floats, n_units: int, coverage: float) -> float:
        """Return a quantile, corrected for the number of scores as in conformal prediction."""
        levels = (np.arange(_N_NORMAL) + 0.5) / _N_NORMAL
        normal = [NormalDist().inv_cdf(0.5 + level / 2.0) for level in levels]
        together = np.sort(np.concatenate([scores, normal]))
        level = coverage * (1.0 + 1.0 / (n_units + _N_NORMAL))
        return float(together[min(len(together), math.ceil(level * len(together))) - 1])


def _sound_deviations(variance: Floats, excess: Floats) -> Floats:
    """Return standard deviations without the extra variance of outliers."""
    deviations: Floats = np.sqrt(np.maximum(variance - excess, 1e-12))
    return deviations


def _families(fit: CostFit) -> Floats:
    """Cluster networks by the contributions of terms; return a family number for each."""
    if len(fit.shares) < 3:
        return np.arange(len(fit.shares), dtype=np.float64)
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(np.sqrt(fit.shares), "average")
    return np.asarray(fcluster(tree, 2.0 * fit.settings.reach, "distance"), dtype=np.float64)
