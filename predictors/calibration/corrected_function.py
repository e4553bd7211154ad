"""Computes a corrected predictor's latency and its derivatives from features."""

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.predictors.calibration.correction import Correction
from mnaslat.predictors.compiled.protocol import CompiledFunction


class CorrectedFunction:
    """Applies a correction to the base's function of features.

    Args:
        base: Latency as a function of the base's features.
        correction: Applied to the base's latency.
        n_features: Number of the base's features, plus 2 for the megabytes of activations and
            weights.
    """

    def __init__(self, base: CompiledFunction, correction: Correction, n_features: int) -> None:
        self._base, self._correction = base, correction
        self.columns = np.append(base.columns, [n_features - 2, n_features - 1])

    def latency_ms(self, features: Floats) -> Floats:
        """Predict latencies in milliseconds, shape ``(n,)``, from the features at ``columns``."""
        base_ms = self._base.latency_ms(features[:, :-2])
        return self._correction.apply(base_ms, features[:, -2:])

    def slopes(self, features: Floats) -> Floats:
        """Return the derivative of the latency by each feature, shape ``(n, columns)``."""
        base_ms = self._base.latency_ms(features[:, :-2])
        outer = self._correction.slopes(base_ms, features[:, -2:])
        return np.hstack([outer[:, :1] * self._base.slopes(features[:, :-2]), outer[:, 1:]])
