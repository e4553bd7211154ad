"""Sum over the layers of a latency table; what is not in it is estimated, never skipped."""

from collections.abc import Sequence
from typing import overload

import numpy as np

from mnaslat.data.measurement import Configuration
from mnaslat.data.table import LatencyTable
from mnaslat.graph import Graph
from mnaslat.predictors.base import Floats, Network, Prediction, as_graphs
from mnaslat.predictors.kernel_model import KernelModel


class TablePredictor:
    """Latency of a network as the sum of its layers' latencies.

    A layer that is not in the table is priced by a ``KernelModel`` learned from the table, and
    ``predict`` says which share of a prediction was measured.

    Args:
        table: Measured layers.
        kernel_model: Fitted; left out, one is fitted to the table when it is first needed.
    """

    def __init__(self, table: LatencyTable, kernel_model: KernelModel | None = None) -> None:
        self.table = table
        self._kernel_model = kernel_model
        self._estimated: dict[str, float] = {}

    @property
    def configuration(self) -> Configuration:
        """The device and settings whose latency is predicted."""
        return self.table.configuration

    @property
    def kernel_model(self) -> KernelModel:
        """The model that prices layers outside the table."""
        if self._kernel_model is None:
            graphs = [Graph.parse(signature) for signature in self.table.rows]
            latency_ms = np.array([row.latency_ms for row in self.table.rows.values()])
            self._kernel_model = KernelModel().fit(graphs, latency_ms)
        return self._kernel_model

    @overload
    def predict_ms(self, networks: Network) -> float: ...
    @overload
    def predict_ms(self, networks: Sequence[Network]) -> Floats: ...
    def predict_ms(self, networks: Network | Sequence[Network]) -> float | Floats:
        """Latency in milliseconds: a float for one network, shape ``(n,)`` for a sequence.

        Raises:
            ConfigurationMismatch: If a graph has another precision than the table.
        """
        if not isinstance(networks, Sequence):
            return self.predict([networks])[0].latency_ms
        return np.array([found.latency_ms for found in self.predict(networks)])

    def predict(self, networks: Sequence[Network]) -> list[Prediction]:
        """Latency of each network and which part of it rests on measured layers."""
        graphs = as_graphs(networks, self.configuration.precision)
        self._estimate_missing(graphs)
        rows, estimated = self.table.rows, self._estimated
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

    def layer_ms(self, network: Network) -> list[tuple[str, float, bool]]:
        """Place, latency and whether it was measured, of each layer of one network."""
        (graph,) = as_graphs([network], self.configuration.precision)
        self._estimate_missing([graph])
        listed = []
        for place, signature in zip(graph.places, graph.layer_signatures, strict=True):
            row = self.table.rows.get(signature)
            latency_ms = self._estimated[signature] if row is None else row.latency_ms
            listed.append((place, latency_ms, row is not None))
        return listed

    def _estimate_missing(self, graphs: Sequence[Graph]) -> None:
        missing: dict[str, Graph] = {}
        for graph in graphs:
            for index, signature in enumerate(graph.layer_signatures):
                if signature not in self.table.rows and signature not in self._estimated:
                    missing[signature] = Graph((graph.layers[index],), graph.precision)
        if missing:
            latency_ms = self.kernel_model.predict_ms(list(missing.values()))
            self._estimated |= dict(zip(missing, map(float, latency_ms), strict=True))
