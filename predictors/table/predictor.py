"""Predicts latencies as sums of a table's layers; estimates layers that are not in it."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors.base import (
    Network,
    Prediction,
    as_graphs,
    check_coverage,
    checked_latency_ms,
)
from mnaslat.predictors.compiled.additive import AdditivePredictor
from mnaslat.predictors.estimator import Estimator
from mnaslat.predictors.explanation import Explanation, LayerCost
from mnaslat.predictors.known_operations import operations_of, unmet
from mnaslat.predictors.table.kernel_model import KernelModel

_MIN_JUDGED = 40  # layers of a table, to estimate the errors of estimates


class TablePredictor(AdditivePredictor, Estimator):
    """Predicts a network's latency as the sum of its layers' latencies.

    A ``KernelModel`` fitted to the table estimates layers that are not in it; ``predict_detailed``
    returns the measured share of a prediction. Needs no ``fit``, which adds further layers.

    Args:
        table: Measured layers.
        kernel_model: A fitted model; left out, one is fitted to the table when first needed.
    """

    provenance: Mapping[str, Any] = MappingProxyType({})
    _fitted_table: LatencyTable | None = None
    _fitted_kernel_model: KernelModel | None = None

    def __init__(self, table: LatencyTable, kernel_model: KernelModel | None = None) -> None:
        self.table = table
        self.kernel_model = kernel_model

    def fit(
        self, graphs: Sequence[Network], latency_ms: Sequence[float] | Floats
    ) -> "TablePredictor":
        """Add measured layers to the table, and refit the kernel model to all layers.

        A layer that is already in the table gets its new latency.

        Args:
            graphs: Graphs of a single layer each.
            latency_ms: Shape ``(n,)``, all positive.

        Raises:
            ValueError: If a graph has several layers, or a latency is not positive.
            ConfigurationMismatch: If a graph has another precision than the table.
        """
        measured_ms = checked_latency_ms(latency_ms, len(graphs), "A table")
        layers = as_graphs(graphs, self.configuration.precision)
        for index, layer in enumerate(layers):
            if len(layer.layers) != 1:
                raise ValueError(
                    f"A table holds single layers, but the graph at {index} has "
                    f"{len(layer.layers)}. Learn from whole networks with CalibratedPredictor or "
                    "CostModel."
                )
        rows = {
            layer.signature: Row(float(each))
            for layer, each in zip(layers, measured_ms, strict=True)
        }
        self._fitted_table = LatencyTable(self.configuration, {**self.table.rows, **rows})
        self._fitted_kernel_model = None
        self._estimated.clear()
        self.__dict__.pop("_estimate_errors", None)
        self.__dict__.pop("met_operations", None)
        return self

    @property
    def configuration(self) -> Configuration:
        """The device and settings whose latency is predicted."""
        return self.table.configuration

    @property
    def measured(self) -> LatencyTable:
        """The table in use: the given one, and the layers that ``fit`` added."""
        return self.table if self._fitted_table is None else self._fitted_table

    @property
    def fitted_kernel_model(self) -> KernelModel:
        """The model that estimates layers outside the table."""
        if self.kernel_model is not None and self._fitted_table is None:
            return self.kernel_model
        if self._fitted_kernel_model is None:
            self._fitted_kernel_model = KernelModel().fit(*_rows_of(self.measured))
        return self._fitted_kernel_model

    @cached_property
    def _estimated(self) -> dict[str, float]:
        return {}

    def predict(self, graphs: Sequence[Network]) -> Floats:
        """Predict latencies in milliseconds, shape ``(n,)``."""
        return np.array([found.latency_ms for found in self.predict_detailed(graphs)])

    def predict_detailed(self, networks: Sequence[Network]) -> list[Prediction]:
        """Predict each latency, with the share of it that comes from measured layers."""
        graphs = as_graphs(networks, self.configuration.precision)
        self._estimate_missing(graphs)
        rows, estimated = self.measured.rows, self._estimated
        predictions = []
        for graph in graphs:
            measured_ms = estimated_ms = 0.0
            for signature in graph.layer_signatures:
                row = rows.get(signature)
                if row is None:
                    estimated_ms += estimated[signature]
                else:
                    measured_ms += row.latency_ms
            total_ms = measured_ms + estimated_ms
            predictions.append(Prediction(total_ms, measured_ms / total_ms))
        return predictions

    def additive_features(self, graphs: Sequence[Graph]) -> Floats:
        """Return the sums of the layers in milliseconds, shape ``(len(graphs), 1)``."""
        return self.predict_ms(graphs)[:, None]

    def from_features(self, features: Floats) -> Floats:
        """Return the sums themselves, shape ``(n,)``."""
        return features[:, 0]

    def linear_form(self) -> tuple[Floats, float]:
        """Return slope 1 and offset 0: the sum is the latency."""
        return np.ones(1), 0.0

    def _layer_ms(self, graph: Graph) -> list[tuple[str, float, bool]]:
        """List each layer's place, its latency, and whether that was measured."""
        self._estimate_missing([graph])
        listed = []
        for place, signature in zip(graph.places, graph.layer_signatures, strict=True):
            row = self.measured.rows.get(signature)
            latency_ms = self._estimated[signature] if row is None else row.latency_ms
            listed.append((place, latency_ms, row is not None))
        return listed

    def explain(self, network: Network, coverage: float = 0.9) -> Explanation:
        """Split a prediction by layer; the milliseconds of the layers add up to it.

        A measured layer's bounds are its two fastest rounds. An estimated layer's bounds come from
        the kernel model's errors on a held-out fifth of the table; they are None for small tables.
        A layer with operations that are in no layer of the table is ``unknown``. The sum has
        no bounds: only whole networks show its error, see ``CalibratedPredictor``.

        Raises:
            ValueError: If coverage does not lie between 0 and 1.
        """
        check_coverage(coverage)
        (graph,) = as_graphs([network], self.configuration.precision)
        costs, met = [], self.met_operations
        for layer, signature, (place, latency_ms, measured) in zip(
            graph.layers, graph.layer_signatures, self._layer_ms(graph), strict=True
        ):
            low_ms: float | None = None
            high_ms: float | None = None
            unknown = () if measured else unmet(layer, met)
            if not measured:
                low_ms, high_ms = self._bounds_of_estimate(latency_ms, coverage)
            elif math.isfinite(self.measured.rows[signature].spread):
                low_ms = latency_ms
                high_ms = latency_ms * (1.0 + self.measured.rows[signature].spread)
            costs.append(
                LayerCost(
                    place=place,
                    label=layer.label or layer.text_alone,
                    latency_ms=latency_ms,
                    source="measured" if measured else "unknown" if unknown else "estimated",
                    low_ms=low_ms,
                    high_ms=high_ms,
                    unknown=unknown,
                )
            )
        return Explanation(
            latency_ms=self.predict_ms(graph),
            low_ms=None,
            high_ms=None,
            coverage=coverage,
            layers=tuple(costs),
        )

    @cached_property
    def met_operations(self) -> frozenset[str]:
        """Operations of all measured layers."""
        return operations_of(map(Graph.parse, self.measured.rows))

    def _bounds_of_estimate(
        self, latency_ms: float, coverage: float
    ) -> tuple[float | None, float | None]:
        errors = self._estimate_errors
        if errors is None:
            return None, None
        factor = math.exp(float(np.quantile(errors, coverage, method="higher")))
        return latency_ms / factor, latency_ms * factor

    @cached_property
    def _estimate_errors(self) -> Floats | None:
        """Absolute log errors of every fifth layer, estimated from the others; None if too few."""
        graphs, latency_ms = _rows_of(self.measured)
        if len(graphs) < _MIN_JUDGED:
            return None
        left = np.arange(len(graphs)) % 5 == 0
        kept = [graph for graph, out in zip(graphs, left, strict=True) if not out]
        of_left = [graph for graph, out in zip(graphs, left, strict=True) if out]
        predicted_ms = KernelModel().fit(kept, latency_ms[~left]).predict_ms(of_left)
        return np.asarray(np.abs(np.log(predicted_ms / latency_ms[left])))

    def _estimate_missing(self, graphs: Sequence[Graph]) -> None:
        missing: dict[str, Graph] = {}
        for graph in graphs:
            for index, signature in enumerate(graph.layer_signatures):
                if signature not in self.measured.rows and signature not in self._estimated:
                    missing[signature] = Graph((graph.layers[index],), graph.precision)
        if missing:
            latency_ms = self.fitted_kernel_model.predict_ms(list(missing.values()))
            self._estimated |= dict(zip(missing, map(float, latency_ms), strict=True))


def _rows_of(table: LatencyTable) -> tuple[list[Graph], Floats]:
    latency_ms = np.array([row.latency_ms for row in table.rows.values()])
    return [Graph.parse(signature) for signature in table.rows], latency_ms
