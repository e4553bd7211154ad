"""How wide an interval must be: from networks and from whole families left out of a fit.

The model's own deviations say which networks are harder than others; how many of them an interval
takes to each side is counted on networks that were left out. A network like those measured errs as
they do when left out alone; one of a new kind errs as they do when everything like them is left out
too. Which of the two it is, its deviation tells. Both are computed from the inverse that the fit
ends with, without fitting again.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.predictors.cost_model.fit import CostFit

# As much as this many networks speak for normal errors: a handful measured cannot tell alone.
_N_NORMAL = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class IntervalScores:
    """Errors of networks left out, in deviations.

    Attributes:
        alone: Ascending, of each network left out alone, shape ``(n,)``.
        with_family: Ascending, of each network left out with all that is like it, shape ``(n,)``.
        n_families: How many kinds of networks there are.
        usual_deviation: Median deviation of networks left out alone.
        novel_deviation: Median deviation of networks left out with all that is like them.
    """

    alone: Floats
    with_family: Floats
    n_families: int
    usual_deviation: float
    novel_deviation: float

    @classmethod
    def of_fit(cls, fit: CostFit) -> "IntervalScores":
        """Leave out each network, and each family, of a fit."""
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
        """How many deviations an interval takes to each side, shape as given."""
        known = self._quantile(self.alone, len(self.alone), coverage)
        new = self._quantile(self.with_family, self.n_families, coverage)
        span = math.log(max(self.novel_deviation / self.usual_deviation, 1.01))
        novelty = np.clip(np.log(deviation / self.usual_deviation) / span, 0.0, 1.0)
        return np.asarray(known + (new - known) * novelty)

    def _quantile(self, scores: Floats, n_units: int, coverage: float) -> float:
        """The scores' quantile, corrected for their number as conformal prediction does."""
        levels = (np.arange(_N_NORMAL) + 0.5) / _N_NORMAL
        normal = [NormalDist().inv_cdf(0.5 + level / 2.0) for level in levels]
        together = np.sort(np.concatenate([scores, normal]))
        level = coverage * (1.0 + 1.0 / (n_units + _N_NORMAL))
        return float(together[min(len(together), math.ceil(level * len(together))) - 1])


def _sound_deviations(variance: Floats, excess: Floats) -> Floats:
    """Deviations as if no measurement were known to be wrong."""
    deviations: Floats = np.sqrt(np.maximum(variance - excess, 1e-12))
    return deviations


def _families(fit: CostFit) -> Floats:
    """A number for each network, equal for those whose time goes to the same terms."""
    if len(fit.shares) < 3:
        return np.arange(len(fit.shares), dtype=np.float64)
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(np.sqrt(fit.shares), "average")
    return np.asarray(fcluster(tree, 2.0 * fit.settings.reach, "distance"), dtype=np.float64)
