"""Differentiates the latency of any predictor numerically."""

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.predictors.compiled.protocol import Compilable

_STEP = 1e-5  # of numerical slopes, relative to the largest value of a feature


class NumericalFunction:
    """Computes a predictor's latency, and its derivatives by finite differences.

    Args:
        predictor: Must not be fitted again.
        largest: Largest absolute value of each feature in the space, shape ``(features,)``.
    """

    def __init__(self, predictor: Compilable, largest: Floats) -> None:
        self._predictor = predictor
        self._steps = _STEP * largest
        self.columns = np.arange(len(largest))

    def latency_ms(self, features: Floats) -> Floats:
        """Predict latencies in milliseconds, shape ``(n,)``."""
        return self._predictor.from_features(features)

    def slopes(self, features: Floats) -> Floats:
        """Return the derivative of the latency by each feature, shape ``(n, features)``."""
        slopes = np.zeros_like(features)
        for column, step in enumerate(self._steps):
            if step == 0.0:  # 0 in every network of the space
                continue
            above, below = features.copy(), features.copy()
            above[:, column] += step
            # Keep sums that are never negative so: functions may take their root or logarithm.
            lowest = np.where(features[:, column] >= 0.0, 0.0, -np.inf)
            below[:, column] = np.maximum(features[:, column] - step, lowest)
            change_ms = self.latency_ms(above) - self.latency_ms(below)
            slopes[:, column] = change_ms / (above[:, column] - below[:, column])
        return slopes
