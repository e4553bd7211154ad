"""A predictor corrected by full models measured on the device."""

import math
from collections.abc import Sequence
from typing import overload

import numpy as np

from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors.base import Floats, Network, Prediction, as_graphs
from mnaslat.predictors.correction import Correction, choose_correction, folds, sizes_mb
from mnaslat.predictors.evaluation import Errors, prediction_errors
from mnaslat.predictors.table_predictor import TablePredictor

_MIN_NETWORKS = 3


class CalibratedPredictor:
    """A table predictor and a correction fitted to full models measured on the same device.

    The sum of layers is a few per cent too low. The correction is a scale; or a scale with an
    offset, or with terms for activations and weights, where cross-validation says it is better.

    Attributes set by ``fit``:
        correction: What was chosen.
        held_out: Cross-validated errors; the choice is made anew inside every fold.
        residuals: Held-out relative errors, shape ``(n,)``, from which intervals are made.
    """

    def __init__(self, base: TablePredictor) -> None:
        self.base = base
        self.correction = Correction("none", 1.0)
        self.held_out: Errors | None = None
        self.residuals: Floats = np.zeros(0)
        self.networks: list[Graph] = []
        self.measured_ms: Floats = np.zeros(0)

    @property
    def configuration(self) -> Configuration:
        """The device and settings whose latency is predicted."""
        return self.base.configuration

    def fit(
        self, networks: Sequence[Network], measured_ms: Sequence[float] | Floats
    ) -> "CalibratedPredictor":
        """Fit the correction to full models.

        Args:
            networks: At least three.
            measured_ms: Their latencies in milliseconds, shape ``(n,)``.

        Raises:
            ValueError: If there are too few networks or a latency is not positive.
        """
        latency_ms = np.asarray(measured_ms, dtype=np.float64)
        if len(networks) < _MIN_NETWORKS or latency_ms.shape != (len(networks),):
            raise ValueError(
                f"Calibration needs at least {_MIN_NETWORKS} networks with one latency each, got "
                f"{len(networks)} and {latency_ms.shape}."
            )
        if not (np.isfinite(latency_ms) & (latency_ms > 0)).all():
            raise ValueError("Measured latencies must be positive.")
        graphs = as_graphs(networks, self.configuration.precision)
        base_ms = self.base.predict_ms(graphs)
        self.networks, self.measured_ms = graphs, latency_ms
        sizes = sizes_mb(graphs)
        self.correction = choose_correction(base_ms, sizes, latency_ms)
        held_out_ms = np.empty_like(latency_ms)
        for kept, left in folds(len(graphs), 10):
            fitted = choose_correction(base_ms[kept], sizes[kept], latency_ms[kept])
            held_out_ms[left] = fitted.apply(base_ms[left], sizes[left])
        self.held_out = prediction_errors(held_out_ms, latency_ms)
        self.residuals = held_out_ms / latency_ms - 1.0
        return self

    def recalibrated(
        self, networks: Sequence[Network], measured_ms: Sequence[float] | Floats
    ) -> "CalibratedPredictor":
        """A new predictor, fitted to this one's calibration networks and further ones.

        A network that was measured before counts once, with its new latency.
        """
        graphs = as_graphs(networks, self.configuration.precision)
        pairs = [
            *zip(self.networks, map(float, self.measured_ms), strict=True),
            *zip(graphs, map(float, measured_ms), strict=True),
        ]
        # By signature: a graph read from a file lacks the names that a lowered one has.
        known = {graph.signature: (graph, latency_ms) for graph, latency_ms in pairs}
        fitted, latencies_ms = zip(*known.values(), strict=True) if known else ((), ())
        return CalibratedPredictor(self.base).fit(fitted, latencies_ms)

    @overload
    def predict_ms(self, networks: Network) -> float: ...
    @overload
    def predict_ms(self, networks: Sequence[Network]) -> Floats: ...
    def predict_ms(self, networks: Network | Sequence[Network]) -> float | Floats:
        """Latency in milliseconds: a float for one network, shape ``(n,)`` for a sequence.

        Raises:
            ConfigurationMismatch: If a graph has another precision than the predictor.
        """
        if not isinstance(networks, Sequence):
            return float(self.predict_ms([networks])[0])
        graphs = as_graphs(networks, self.configuration.precision)
        return self.correction.apply(self.base.predict_ms(graphs), sizes_mb(graphs))

    def predict(self, networks: Sequence[Network]) -> list[Prediction]:
        """Latency of each network and which part of it rests on measured layers."""
        graphs = as_graphs(networks, self.configuration.precision)
        found = self.base.predict(graphs)
        base_ms = np.array([each.latency_ms for each in found])
        corrected = self.correction.apply(base_ms, sizes_mb(graphs))
        return [
            Prediction(float(latency_ms), each.measured_share)
            for latency_ms, each in zip(corrected, found, strict=True)
        ]

    def predict_interval_ms(self, network: Network, coverage: float = 0.9) -> tuple[float, float]:
        """Bounds that hold the measured latency of ``coverage`` of networks.

        The networks must be like those calibrated on. Conformal: the held-out relative errors' own
        quantile, with the correction for their number. Infinite where there are too few calibration
        networks for the coverage asked.

        Raises:
            ValueError: If coverage does not lie between 0 and 1 or nothing was fitted.
        """
        if not 0.0 < coverage < 1.0:
            raise ValueError(f"coverage must lie between 0 and 1, got {coverage}.")
        if self.residuals.size == 0:
            raise ValueError("Calibrate the predictor first: it has no held-out errors yet.")
        n = self.residuals.size
        rank = math.ceil((n + 1) * coverage)
        predicted_ms = self.predict_ms(network)
        if rank > n:
            return 0.0, math.inf
        # predicted / measured - 1 within +-q  <=>  measured within predicted / (1 +- q)
        q = float(np.sort(np.abs(self.residuals))[rank - 1])
        return predicted_ms / (1.0 + q), predicted_ms / (1.0 - q) if q < 1.0 else math.inf
