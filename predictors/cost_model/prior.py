"""Defines the prior of unit costs, from initial estimates or from models of other devices.

A unit cost is an initial estimate times ``exp(theta)``. Thetas of similar terms are correlated: a
theta is a sum of normal effects of all terms, of terms with the same meaning, of a family, of a
kernel, and of a kernel with its stride. So a measured 3x3 convolution also updates the 5x5 one, and
unmeasured terms have sensible values.

Models of other devices make this more precise: the mean is theirs, up to one common factor (the
speed of a device); the standard deviations are smaller, and larger in directions in which those
devices differ.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.predictors.cost_model.op_terms import Term

# Standard deviations of log unit costs by level, from all terms down to a kernel with its stride.
_AROUND_GUESSES = (3.0, 0.7, 0.7, 0.4, 0.2)
_AROUND_DEVICES = (3.0, 0.3, 0.3, 0.2, 0.1)


def prior_of(thetas: Sequence[Floats], terms: Sequence[Term]) -> tuple[Floats, Floats]:
    """Return mean and covariance of the thetas, shapes ``(terms,)`` and ``(terms, terms)``.

    Args:
        thetas: Of other devices, each relative to the device's own level, shape ``(terms,)``; with
            none, the initial estimates are the mean.
        terms: Those of the thetas.
    """
    if not thetas:
        return np.zeros(len(terms)), _hierarchy(terms, _AROUND_GUESSES)
    of_devices = np.stack(thetas)
    mean = of_devices.mean(axis=0)
    covariance = _hierarchy(terms, _AROUND_DEVICES)
    if len(thetas) > 1:
        spread = of_devices - mean
        covariance += spread.T @ spread / (len(thetas) - 1)
    return mean, covariance


def _hierarchy(terms: Sequence[Term], deviations: Sequence[float]) -> Floats:
    levels: list[list[Hashable]] = [
        [() for _ in terms],
        [term.what for term in terms],
        [(term.family, term.what) for term in terms],
        [(term.kernel, term.what) for term in terms],
        [(term.stride, term.what) for term in terms],
    ]
    covariance = np.zeros((len(terms), len(terms)))
    for keys, deviation in zip(levels, deviations, strict=True):
        numbers: dict[Hashable, int] = {}
        group = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
        covariance += deviation**2 * (group[:, None] == group[None, :])
    return covariance
