"""A corrected predictor's latency as a function of features, with its slopes."""

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.predictors.calibration.correction import Correction
from mnaslat.predictors.compiled.protocol import CompiledFunction


class CorrectedFunction:
    """The base's function, then the correction.

    Args:
        base: Of the base's features.
        correction: Of its latency.
        n_features: Of the base and two more, the megabytes of activations and of weights.
    """

    def __init__(self, base: CompiledFunction, correction: Correction, n_features: int) -> None:
        self._base, self._correction = base, correction
        self.columns = np.append(base.columns, [n_features - 2, n_features - 1])

    def latency_ms(self, features: Floats) -> Floats:
        """Latency in milliseconds, shape ``(n,)``, of the features at ``columns``."""
        base_ms = self._base.latency_ms(features[:, :-2])
        return self._correction.apply(base_ms, features[:, -2:])

    def slopes(self, features: Floats) -> Floats:
        """Change of the latency with each feature, shape ``(n, columns)``."""
        base_ms = self._base.latency_ms(features[:, :-2])
        outer = self._correction.slopes(base_ms, features[:, -2:])
        return np.hstack([outer[:, :1] * self._base.slopes(features[:, :-2]), outer[:, 1:]])
