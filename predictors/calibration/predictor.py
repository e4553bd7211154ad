"""Corrects a predictor with whole networks measured on the device."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors.base import (
    Network,
    Prediction,
    as_graphs,
    check_coverage,
    checked_latency_ms,
    renewed,
)
from mnaslat.predictors.calibration.corrected_function import CorrectedFunction
from mnaslat.predictors.calibration.correction import Correction, choose_correction, folds, sizes_mb
from mnaslat.predictors.compiled.additive import AdditivePredictor
from mnaslat.predictors.cost_model.model import CostModel
from mnaslat.predictors.cost_model.state import digest
from mnaslat.predictors.estimator import IntervalEstimator
from mnaslat.predictors.evaluation import Errors, prediction_errors
from mnaslat.predictors.explanation import Explanation, LayerCost
from mnaslat.predictors.measurement_checks import check_unit, merged
from mnaslat.predictors.table.predictor import TablePredictor

_MIN_NETWORKS = 3


class CalibratedPredictor(AdditivePredictor, IntervalEstimator):
    """Corrects a base predictor, fitted to whole networks measured on the same device.

    A table's sum of layers is a few per cent too low. The correction is a scale; a scale and an
    offset; or a scale with terms for activations and weights. Cross-validation chooses.

    A ``CostModel`` as the base was already fitted to whole networks. Networks of that fit say
    nothing about its errors and are left out. With fewer than three others, nothing is corrected
    and intervals are the base's own. To add measurements of the same device, use
    ``CostModel.recalibrated``; a correction suits a model of another device or another build.

    Intervals are conformal: a quantile of the held-out relative errors, corrected for their number.

    Args:
        base: A table predictor or a fitted cost model; never fitted here.

    Attributes set by ``fit``:
        correction: The chosen correction.
        held_out: Cross-validated errors; each fold repeats the choice.
        residuals: Held-out relative errors, shape ``(n,)``; the intervals use them.
        networks: The networks that the correction was fitted to.
        measured_ms: Their latencies, shape ``(n,)``.
    """

    correction = Correction("none", 1.0)
    held_out: Errors | None = None
    residuals: Floats = np.zeros(0)
    networks: Sequence[Graph] = ()
    measured_ms: Floats = np.zeros(0)
    provenance: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, base: TablePredictor | CostModel) -> None:
        self.base = base

    @property
    def configuration(self) -> Configuration:
        """The device and settings whose latency is predicted."""
        return self.base.configuration

    @property
    def table(self) -> LatencyTable:
        """The latency table of the base.

        Raises:
            ValueError: If the base is a cost model, which has none.
        """
        if not isinstance(self.base, TablePredictor):
            raise ValueError("This predictor was not made from a latency table.")
        return self.base.measured

    def fit(
        self, graphs: Sequence[Network], latency_ms: Sequence[float] | Floats
    ) -> "CalibratedPredictor":
        """Fit the correction to whole networks.

        Args:
            graphs: At least three; one given twice counts once.
            latency_ms: Shape ``(n,)``, in milliseconds.

        Raises:
            ValueError: If there are too few networks, a latency is not positive, one network has
                two very different latencies, or all are about a thousand times what the base
                predicts.
            ConfigurationMismatch: If a graph has another precision than the base.
        """
        measured_ms = checked_latency_ms(latency_ms, len(graphs), "Calibration")
        networks, measured_ms = merged(as_graphs(graphs, self.configuration.precision), measured_ms)
        if len(networks) < _MIN_NETWORKS:
            raise ValueError(
                f"Calibration needs at least {_MIN_NETWORKS} networks with one latency each, got "
                f"{len(networks)} different ones."
            )
        fresh = [index for index, graph in enumerate(networks) if not self._has_seen(graph)]
        self.networks, self.measured_ms = [networks[index] for index in fresh], measured_ms[fresh]
        if len(fresh) < _MIN_NETWORKS:
            self.correction, self.held_out = Correction("none", 1.0), None
            self.networks, self.measured_ms, self.residuals = [], np.zeros(0), np.zeros(0)
            return self
        base_ms, sizes = self.base.predict(self.networks), sizes_mb(self.networks)
        check_unit(
            self.measured_ms, [base_ms], "the base predicts", "take a base of a device like this"
        )
        self.correction = choose_correction(base_ms, sizes, self.measured_ms)
        held_out_ms = np.empty_like(self.measured_ms)
        for kept, left in folds(len(fresh), 10):
            fitted = choose_correction(base_ms[kept], sizes[kept], self.measured_ms[kept])
            held_out_ms[left] = fitted.apply(base_ms[left], sizes[left])
        self.held_out = prediction_errors(held_out_ms, self.measured_ms)
        self.residuals = held_out_ms / self.measured_ms - 1.0
        return self

    def _has_seen(self, graph: Graph) -> bool:
        return isinstance(self.base, CostModel) and digest(graph) in self.base.state.seen

    def recalibrated(
        self, networks: Sequence[Network], measured_ms: Sequence[float] | Floats
    ) -> "CalibratedPredictor":
        """Fit a new predictor to this one's calibration networks and further ones.

        A network that was measured before counts once, with its new latency.
        """
        graphs = as_graphs(networks, self.configuration.precision)
        fresh_ms = np.asarray(measured_ms, dtype=np.float64)
        fitted, latencies_ms = renewed(self.networks, self.measured_ms, graphs, fresh_ms)
        return CalibratedPredictor(self.base).fit(fitted, latencies_ms)

    def predict(self, graphs: Sequence[Network]) -> Floats:
        """Predict latencies in milliseconds, shape ``(n,)``."""
        networks = as_graphs(graphs, self.configuration.precision)
        return self.correction.apply(self.base.predict(networks), sizes_mb(networks))

    def predict_detailed(self, networks: Sequence[Network]) -> list[Prediction]:
        """Predict each latency, with the share of it that comes from measured layers."""
        graphs = as_graphs(networks, self.configuration.precision)
        found = self.base.predict_detailed(graphs)
        base_ms = np.array([each.latency_ms for each in found])
        corrected = self.correction.apply(base_ms, sizes_mb(graphs))
        return [
            Prediction(float(latency_ms), each.measured_share)
            for latency_ms, each in zip(corrected, found, strict=True)
        ]

    def additive_features(self, graphs: Sequence[Graph]) -> Floats:
        """Return the base's features, then megabytes of activations and of weights."""
        return np.hstack([self.base.additive_features(graphs), sizes_mb(graphs)])

    def from_features(self, features: Floats) -> Floats:
        """Predict corrected latencies in milliseconds, shape ``(n,)``."""
        base_ms = self.base.from_features(features[:, :-2])
        return self.correction.apply(base_ms, features[:, -2:])

    def feature_function(self, largest: Floats) -> CorrectedFunction:
        """Return the base's function with the correction applied."""
        base = self.base.feature_function(largest[:-2])
        return CorrectedFunction(base, self.correction, len(largest))

    def linear_form(self) -> tuple[Floats, float] | None:
        """Return slopes and offset if the base is linear and the correction affine, else None."""
        base = self.base.linear_form()
        if base is None or not self.correction.is_affine:
            return None
        slopes, offset_ms = base
        scale = self.correction.scale
        return np.append(scale * slopes, [0.0, 0.0]), scale * offset_ms + self.correction.offset_ms

    def _interval_ms(self, networks: Sequence[Network], coverage: float) -> tuple[Floats, Floats]:
        # Conformal prediction: a quantile of the held-out relative errors, corrected for their
        # number; infinite where there are too few calibration networks for the coverage.
        check_coverage(coverage)
        if self.residuals.size == 0 and isinstance(self.base, CostModel):
            return self.base.predict_interval_ms(networks, coverage)
        if self.residuals.size == 0:
            raise ValueError("Calibrate the predictor first: it has no held-out errors yet.")
        n = self.residuals.size
        rank = math.ceil((n + 1) * coverage)
        predicted_ms = self.predict(networks)
        if rank > n:
            return np.zeros_like(predicted_ms), np.full_like(predicted_ms, np.inf)
        # predicted / measured - 1 within +-q  <=>  measured within predicted / (1 +- q)
        q = float(np.sort(np.abs(self.residuals))[rank - 1])
        highest_ms = predicted_ms / (1.0 - q) if q < 1.0 else np.full_like(predicted_ms, np.inf)
        return predicted_ms / (1.0 + q), highest_ms

    def explain(self, network: Network, coverage: float = 0.9) -> Explanation:
        """Split a prediction by layer; the milliseconds of the layers add up to it.

        A positive offset comes last, as ``network``; the rest is split in proportion to the base.

        Raises:
            ValueError: If coverage does not lie between 0 and 1.
        """
        (graph,) = as_graphs([network], self.configuration.precision)
        base = self.base.explain(graph, coverage)
        total_ms = self.predict_ms(graph)
        offset_ms = min(max(self.correction.offset_ms, 0.0), total_ms)
        factor = (total_ms - offset_ms) / base.latency_ms
        layers = [_scaled(layer, factor) for layer in base.layers]
        if offset_ms > 0:
            offset = LayerCost(place="network", label="", latency_ms=offset_ms, source="estimated")
            layers.append(offset)
        low_ms: float | None = None
        high_ms: float | None = None
        if self.residuals.size or isinstance(self.base, CostModel):
            low_ms, high_ms = self.predict_interval_ms(graph, coverage)
        return Explanation(
            latency_ms=total_ms,
            low_ms=low_ms,
            high_ms=high_ms,
            coverage=coverage,
            layers=tuple(layers),
        )

    @property
    def met_operations(self) -> frozenset[str]:
        """The operations that the base has measured."""
        return self.base.met_operations


def _scaled(layer: LayerCost, factor: float) -> LayerCost:
    return replace(
        layer,
        latency_ms=layer.latency_ms * factor,
        low_ms=None if layer.low_ms is None else layer.low_ms * factor,
        high_ms=None if layer.high_ms is None else layer.high_ms * factor,
    )
