"""Computes the posterior of a fit for any networks, also with unmeasured terms and layers."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats
from mnaslat.predictors.cost_model.fit import (
    CostFit,
    covariance_of,
    parts_of,
    prior_from,
    shares_of,
)
from mnaslat.predictors.cost_model.latency_function import CostFunction, FitPart
from mnaslat.predictors.cost_model.op_terms import Term
from mnaslat.predictors.cost_model.term_matrix import Networks


class CostPosterior:
    """The posterior of one configuration: a fit and its priors, over a list of terms.

    A log latency needs two sums over a network's layers for the fit and for each prior: T, the
    latency by the terms, and B, the same weighted by the influence of the measurements on each
    layer. It is ``log T + B / T``, plus B / T of the priors, plus the discrepancy shared by
    networks with similar contributions, which needs the term matrix.

    Args:
        fit: With its priors.
        terms: All terms of the fit, and any others.
    """

    def __init__(self, fit: CostFit, terms: Sequence[Term]) -> None:
        place = {term: index for index, term in enumerate(terms)}
        self._fit = fit
        self._terms = tuple(terms)
        self._factors = np.exp(fit.theta_of(terms))
        self._measured = np.zeros((len(fit.shares), len(terms)))
        self._measured[:, [place[term] for term in fit.terms]] = fit.shares
        self._priors = [CostPosterior(prior, terms) for prior in fit.priors]
        settings = fit.settings
        own = FitPart(
            weight=1.0,
            factors=self._factors,
            roots=np.sqrt(self._measured),
            pulls=settings.misfit**2 * fit.dual if settings.misfit > 0 else np.zeros(0),
            reach=settings.reach,
        )
        of_priors = [
            replace(part, weight=part.weight / len(self._priors))
            for prior in self._priors
            for part in prior._parts
        ]
        self._parts: list[FitPart] = [own, *of_priors]

    @property
    def n_sums(self) -> int:
        """Number of columns of ``sums``."""
        return 2 * len(self._parts)

    @property
    def needs_term_matrix(self) -> bool:
        """Whether a latency depends on more than ``sums``."""
        return any(part.pulls.size for part in self._parts)

    def function(self, used: NDArray[np.bool_]) -> CostFunction:
        """Return the latency as a function for networks with only the ``used`` terms.

        Args:
            used: Whether any network has the term, shape ``(terms,)``.
        """
        return CostFunction(self._parts, used)

    def sums(self, networks: Networks) -> Floats:
        """Compute T and B of the fit and of its priors, shape ``(n, n_sums)``."""
        layers_ms = networks.units @ self._factors
        pulls = self._fit.layer_pulls
        pulled = layers_ms * np.array([pulls.get(key, 0.0) for key in networks.keys])
        own = networks.counts @ np.stack([layers_ms, pulled], axis=1)
        return np.hstack([own, *(prior.sums(networks) for prior in self._priors)])

    def log_ms(self, networks: Networks) -> Floats:
        """Predict the logarithm of the latency in milliseconds, shape ``(n,)``."""
        return np.asarray(np.log(self.latency_ms(networks)))

    def latency_ms(self, networks: Networks) -> Floats:
        """Predict latencies in milliseconds, shape ``(n,)``."""
        return self.whole.latency_ms(self.features(networks))

    def misfit(self, networks: Networks) -> Floats:
        """Predict the model discrepancy, of log latency, shape ``(n,)``."""
        return self.whole.misfit(self.features(networks))

    def features(self, networks: Networks) -> Floats:
        """Return ``sums``, then the term matrix if a latency needs it."""
        sums = self.sums(networks)
        return np.hstack([sums, networks.term_matrix]) if self.needs_term_matrix else sums

    @cached_property
    def whole(self) -> CostFunction:
        """The latency as a function of all terms."""
        return self.function(np.ones(len(self._terms), dtype=np.bool_))

    def deviation(self, networks: Networks) -> Floats:
        """Predict the standard deviation of the log of a new measurement, shape ``(n,)``."""
        noise = self._fit.settings.noise
        found: Floats = np.sqrt(np.maximum(self.variance(networks), 0.0) + noise**2)
        return found

    def variance(self, networks: Networks) -> Floats:
        """Compute the posterior variance of log latencies, shape ``(n,)``."""
        settings = self._fit.settings
        shares, parts = self._shares(networks), parts_of(networks, self._factors)
        cross = self._with_measured(networks)
        found = np.einsum("ij,jk,ik->i", shares, self._of_terms, shares) + settings.misfit**2
        found += settings.layer_misfit**2 * np.square(parts).sum(axis=1)
        found -= np.einsum("ij,jk,ik->i", cross, self._fit.inverse, cross)
        return np.asarray(found)

    def covariance(
        self, networks: Networks, rows: NDArray[np.intp] | slice, columns: NDArray[np.intp] | slice
    ) -> Floats:
        """Compute the posterior covariance of log latencies, shape ``(rows, columns)``."""
        left, right = networks.take(rows), networks.take(columns)
        settings = self._fit.settings
        found = covariance_of(self._shares(left), self._shares(right), self._of_terms, settings)
        parts = parts_of(left, self._factors), parts_of(right, self._factors)
        found = found + settings.layer_misfit**2 * parts[0] @ parts[1].T
        cross = self._with_measured(left), self._with_measured(right)
        return np.asarray(found - cross[0] @ self._fit.inverse @ cross[1].T)

    @cached_property
    def _of_terms(self) -> Floats:
        return prior_from(self._fit.priors, self._terms)[1]

    @cached_property
    def _layer_places(self) -> dict[str, int]:
        return {key: place for place, key in enumerate(self._fit.layers)}

    def _shares(self, networks: Networks) -> Floats:
        return shares_of(networks.term_matrix * self._factors)

    def _with_measured(self, networks: Networks) -> Floats:
        """Compute the prior covariance with the measured networks, shape ``(n, measured)``."""
        settings = self._fit.settings
        found = covariance_of(self._shares(networks), self._measured, self._of_terms, settings)
        places = self._layer_places
        known = [index for index, key in enumerate(networks.keys) if key in places]
        if known:
            parts = parts_of(networks, self._factors)[:, known]
            measured = self._fit.parts[:, [places[networks.keys[index]] for index in known]]
            found = found + settings.layer_misfit**2 * parts @ measured.T
        return found
