"""From the features of a network to its latency and its slopes, as one search space needs it."""

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.predictors.compiled.protocol import Compilable

_STEP = 1e-5  # of numerical slopes, relative to the largest value of a feature


class NumericalFunction:
    """What any predictor says, with slopes from finite differences.

    Args:
        predictor: Keeps to what it has learned by now.
        largest: What each feature can be in the space, shape ``(features,)``.
    """

    def __init__(self, predictor: Compilable, largest: Floats) -> None:
        self._predictor = predictor
        self._steps = _STEP * largest
        self.columns = np.arange(len(largest))

    def latency_ms(self, features: Floats) -> Floats:
        """Latency in milliseconds, shape ``(n,)``."""
        return self._predictor.from_features(features)

    def slopes(self, features: Floats) -> Floats:
        """Change of the latency with each feature, shape ``(n, features)``."""
        slopes = np.zeros_like(features)
        for column, step in enumerate(self._steps):
            if step == 0.0:  # no network of the space has any of it
                continue
            above, below = features.copy(), features.copy()
            above[:, column] += step
            # Sums that are never negative stay so: functions may take their root or logarithm.
            lowest = np.where(features[:, column] >= 0.0, 0.0, -np.inf)
            below[:, column] = np.maximum(features[:, column] - step, lowest)
            change_ms = self.latency_ms(above) - self.latency_ms(below)
            slopes[:, column] = change_ms / (above[:, column] - below[:, column])
        return slopes
