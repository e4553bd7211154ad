"""Fits unit costs to whole networks by robust regression of log latency.

The latency of network i is modelled as::

    log y_i = log(sum_t X_it exp(theta_t)) + u_i + e_i

with X the guessed milliseconds of each term, ``theta`` normal as ``cost_prior`` says, ``e`` noise,
and ``u`` the model discrepancy, which the terms do not describe: a Gaussian process with the
covariance::

    misfit^2 exp(-|sqrt(s_i) - sqrt(s_j)|^2 / (2 reach^2)) + layer_misfit^2 q_i . q_j

s_i are the contributions of the terms to a network's latency, as fractions (networks with similar
contributions have similar errors; ``reach`` is the length scale), and q_i those of its layers (each
layer has one error, in all networks). With priors from other devices, the mean of u is their mean
discrepancy instead of zero.

Gauss-Newton steps in the dual form find the mode; they invert a matrix with one row per network. A
measurement far from its prediction by all others gets extra variance (``excess``), and so less
weight. If most measurements are farther away than the noise allows, the noise is increased.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.predictors.cost_model.op_terms import Term
from mnaslat.predictors.cost_model.prior import prior_of
from mnaslat.predictors.cost_model.term_matrix import Networks

MAX_NETWORKS = 3000  # of one fit, which inverts a matrix of this size
# The noise decreases in stages, so that outliers are recognised late, when the fit is good. Each
# stage has its number of steps; 0 is the noise of the settings.
_STAGES = ((0.3, 6), (0.1, 4), (0.03, 4), (0.0, 8), (0.0, 6), (0.0, 6))
_LARGEST_STEP = 1.5  # of a theta
_SMALL_STEP = 1e-4
_SOUND = 3.0  # standard deviations from the prediction by the other measurements
_MIN_ROBUST = 4  # with fewer measurements, an outlier cannot be identified
_MIN_JUDGED = 20  # networks, to estimate the noise and the layers' discrepancy
_TOO_NOISY = 1.2  # times as far away as the noise allows
_LAYER_MISFITS = (0.05, 0.2)
_MEDIAN_OF_NORMAL = 0.6745  # of the absolute value
LEAST_MS = 1e-9  # of a network that does nothing


@dataclass(frozen=True, kw_only=True)
class CostSettings:
    """Standard deviations of noise and model discrepancy, of log latency."""

    noise: float  # of a measurement
    misfit: float = 0.05  # model discrepancy of networks
    reach: float = 0.15  # length scale of the discrepancy, in roots of contributions
    layer_misfit: float = 0.05  # model discrepancy of layers

    def __post_init__(self) -> None:
        for name, least in (("noise", 1e-4), ("misfit", 0), ("reach", 1e-4), ("layer_misfit", 0)):
            value = getattr(self, name)
            if not least <= value <= 10.0:
                raise ValueError(f"{name} must lie between {least} and 10, got {value}.")


@dataclass(frozen=True, kw_only=True, eq=False)
class CostFit:
    """The parameters fitted to the networks measured on one device.

    Attributes:
        terms: Terms of the networks and of the priors.
        layers: Keys of the networks' layers.
        theta: Logarithm of each term's factor on its initial estimate, shape ``(terms,)``.
        shares: Contribution of each term to each latency, fractions, shape ``(n, terms)``.
        parts: Contribution of each layer to each latency, fractions, shape ``(n, layers)``.
        dual: Dual solution, the weighted residual of each network, shape ``(n,)``.
        excess: Extra variance of each measurement, shape ``(n,)``; above 0 for outliers.
        level: Mean log ratio of measured latency to initial estimate: how slow the device is.
        settings: As used; the noise may be larger than given.
        priors: Fits of other devices.
    """

    terms: tuple[Term, ...]
    layers: tuple[str, ...]
    theta: Floats
    shares: Floats
    parts: Floats
    dual: Floats
    excess: Floats
    level: float
    settings: CostSettings
    priors: "tuple[CostFit, ...]" = ()

    @classmethod
    def before(
        cls, terms: Sequence[Term], settings: CostSettings, priors: Sequence["CostFit"]
    ) -> "CostFit":
        """Return the prior as a fit without measurements."""
        return cls(
            terms=tuple(terms),
            layers=(),
            theta=prior_from(priors, terms)[0],
            shares=np.zeros((0, len(terms))),
            parts=np.zeros((0, 0)),
            dual=np.zeros(0),
            excess=np.zeros(0),
            level=0.0,
            settings=settings,
            priors=tuple(priors),
        )

    @property
    def left_out(self) -> Floats:
        """Leave-one-out residual of each log latency, measured minus predicted, shape ``(n,)``."""
        residuals: Floats = self.dual / np.diag(self.inverse)
        return residuals

    @cached_property
    def inverse(self) -> Floats:
        """Inverse of the measurements' covariance, shape ``(n, n)``."""
        covariance = covariance_of(
            self.shares, self.shares, prior_from(self.priors, self.terms)[1], self.settings
        )
        covariance += self.settings.layer_misfit**2 * self.parts @ self.parts.T
        return _inverse(covariance, self.settings.noise, self.excess)

    @cached_property
    def layer_pulls(self) -> dict[str, float]:
        """Influence of the measurements on each layer's log latency, by the layer's key."""
        pulls = self.settings.layer_misfit**2 * (self.parts.T @ self.dual)
        return dict(zip(self.layers, map(float, pulls), strict=True))

    def theta_of(self, terms: Sequence[Term]) -> Floats:
        """Return the log factors of terms; unmeasured ones are predicted from similar terms."""
        place = {term: index for index, term in enumerate(self.terms)}
        fresh = [term for term in terms if term not in place]
        theta = self.theta
        if fresh:
            mean, covariance = prior_from(self.priors, [*self.terms, *fresh])
            n = len(self.terms)
            pulled = mean[n:] + covariance[n:, :n] @ (self.shares.T @ self.dual)
            theta = np.concatenate([theta, pulled])
            place |= {term: n + index for index, term in enumerate(fresh)}
        return theta[[place[term] for term in terms]]


def prior_from(fits: Sequence[CostFit], terms: Sequence[Term]) -> tuple[Floats, Floats]:
    """Return mean and covariance of the terms' thetas, as fits of other devices suggest them.

    Shapes ``(terms,)`` and ``(terms, terms)``. The terms need not be those of the fits.
    """
    return prior_of([fit.theta_of(terms) - fit.level for fit in fits], terms)


def covariance_of(left: Floats, right: Floats, of_terms: Floats, settings: CostSettings) -> Floats:
    """Compute the prior covariance of log latencies of networks with these contributions.

    What layers have in common comes on top.

    Args:
        left: Shape ``(n, terms)``.
        right: Shape ``(m, terms)``.
        of_terms: Prior covariance of the terms, shape ``(terms, terms)``.
        settings: Of the misfit.
    """
    found: Floats = left @ of_terms @ right.T
    if settings.misfit > 0:
        found = found + settings.misfit**2 * likeness(np.sqrt(left), np.sqrt(right), settings.reach)
    return found


def likeness(left: Floats, right: Floats, reach: float) -> Floats:
    """Compute a squared-exponential kernel over the roots of contributions.

    It is 1 for equal networks and tends to 0 for dissimilar ones.
    """
    squared = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :]
    squared -= 2.0 * left @ right.T
    found: Floats = np.exp(-np.maximum(squared, 0.0) / (2.0 * reach**2))
    return found


def shares_of(costs: Floats) -> Floats:
    """Divide each row by its sum."""
    shares: Floats = costs / np.maximum(costs.sum(axis=1, keepdims=True), LEAST_MS)
    return shares


def total_of(costs: Floats) -> Floats:
    """Sum each row, bounded away from 0."""
    total: Floats = np.maximum(costs.sum(axis=1), LEAST_MS)
    return total


def fit_costs(
    terms: Sequence[Term],
    networks: Networks,
    log_ms: Floats,
    settings: CostSettings,
    *,
    offset: Floats | float = 0.0,
    priors: Sequence[CostFit] = (),
    choose_layer_misfit: bool = False,
) -> CostFit:
    """Fit unit costs to measured networks.

    Args:
        terms: Terms of the columns of ``networks.units``.
        networks: The ``n`` measured networks.
        log_ms: Logarithms of their latencies, shape ``(n,)``.
        settings: Standard deviations of noise and discrepancy.
        offset: Prior mean of the discrepancy, shape ``(n,)``.
        priors: Fits of other devices.
        choose_layer_misfit: Whether to choose ``layer_misfit`` by the leave-one-out error, given
            enough networks.
    """
    choices = [settings]
    if choose_layer_misfit and len(log_ms) >= _MIN_JUDGED:
        choices = [replace(settings, layer_misfit=value) for value in _LAYER_MISFITS]
    fits = [_fit(terms, networks, log_ms, each, offset, priors) for each in choices]
    return min(fits, key=left_out_error) if len(fits) > 1 else fits[0]


def _fit(
    terms: Sequence[Term],
    networks: Networks,
    log_ms: Floats,
    settings: CostSettings,
    offset: Floats | float,
    priors: Sequence[CostFit],
) -> CostFit:
    mean, of_terms = prior_from(priors, terms)
    target: Floats = log_ms - offset
    term_matrix = networks.term_matrix
    theta: Floats = mean + np.median(target - np.log(total_of(term_matrix * np.exp(mean))))
    excess: Floats = np.zeros(len(target))
    for stage, n_steps in _STAGES:
        typical = 0.0
        for _ in range(n_steps):
            covariance, shares, residual = _linearised(
                networks, term_matrix, theta, of_terms, settings, target
            )
            inverse = _inverse(covariance, max(stage, settings.noise), excess)
            dual = inverse @ (residual + shares @ (theta - mean))
            step = mean + of_terms @ (shares.T @ dual) - theta
            largest = float(np.abs(step).max())
            theta = theta + step * min(1.0, _LARGEST_STEP / max(largest, _SMALL_STEP))
            if len(target) >= _MIN_ROBUST:
                typical, excess = _excess(dual, inverse, excess)
            if largest < _SMALL_STEP:
                break
        if stage == 0 and len(target) >= _MIN_JUDGED and typical > _TOO_NOISY:
            settings = replace(settings, noise=min(settings.noise * min(typical, 4.0), 10.0))
    covariance, shares, residual = _linearised(
        networks, term_matrix, theta, of_terms, settings, target
    )
    inverse = _inverse(covariance, settings.noise, excess)
    return CostFit(
        terms=tuple(terms),
        layers=networks.keys,
        theta=theta,
        shares=shares,
        parts=parts_of(networks, np.exp(theta)),
        dual=inverse @ (residual + shares @ (theta - mean)),
        excess=excess,
        level=float(np.mean(log_ms - np.log(total_of(term_matrix)))),
        settings=settings,
        priors=tuple(priors),
    )


def _linearised(
    networks: Networks,
    term_matrix: Floats,
    theta: Floats,
    of_terms: Floats,
    settings: CostSettings,
    target: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Linearise the model at a theta: covariance without noise, contributions, residuals."""
    costs = term_matrix * np.exp(theta)
    shares, parts = shares_of(costs), parts_of(networks, np.exp(theta))
    covariance = covariance_of(shares, shares, of_terms, settings)
    covariance = covariance + settings.layer_misfit**2 * parts @ parts.T
    return covariance, shares, target - np.log(total_of(costs))


def parts_of(networks: Networks, factors: Floats) -> Floats:
    """Compute the layers' contributions to each latency, as fractions, shape ``(n, layers)``."""
    return shares_of(networks.counts * (networks.units @ factors))


def _excess(dual: Floats, inverse: Floats, excess: Floats) -> tuple[float, Floats]:
    """Estimate the typical leave-one-out residual and the extra variance of each measurement.

    Residuals are in standard deviations of the model; the typical one is 1 if the model's noise is
    right. Measurements within three standard deviations get no extra variance, others so much that
    they have little weight. If most residuals are large, the standard deviations are scaled up.
    """
    variance = 1.0 / np.diag(inverse)
    left_out = np.abs(dual) * variance  # residual against the fit without it
    ratio = left_out / np.sqrt(np.maximum(variance - excess, 1e-12))
    typical = float(np.median(ratio)) / _MEDIAN_OF_NORMAL
    ratio = ratio / max(1.0, typical)
    return typical, np.asarray(left_out**2 * np.maximum(0.0, (ratio / _SOUND) ** 2 - 1.0))


def left_out_error(fit: CostFit) -> float:
    """Average the absolute leave-one-out log errors, each at most five median errors."""
    errors = np.abs(fit.left_out)
    return float(np.mean(np.minimum(errors, 5.0 * np.median(errors))))


def _inverse(covariance: Floats, noise: float, excess: Floats) -> Floats:
    return np.asarray(np.linalg.inv(covariance + np.diag(noise**2 + excess)), dtype=np.float64)
