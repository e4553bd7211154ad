"""What every predictor takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from mnaslat.architecture import Architecture
from mnaslat.data.measurement import Configuration
from mnaslat.errors import ConfigurationMismatch
from mnaslat.graph import Graph, Precision
from mnaslat.lowering import lower

Network = Architecture | Graph
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """A predicted latency and where it comes from."""

    latency_ms: float
    measured_share: float  # of the layers' latency, the fraction that was measured; the rest is
    #                        estimated by the kernel model


class LatencyPredictor(Protocol):
    """Anything that turns networks into milliseconds."""

    @property
    def configuration(self) -> Configuration:
        """The device and settings whose latency is predicted."""

    @overload
    def predict_ms(self, networks: Network) -> float: ...
    @overload
    def predict_ms(self, networks: Sequence[Network]) -> Floats: ...
    def predict_ms(self, networks: Network | Sequence[Network]) -> float | Floats:
        """Latency in milliseconds: a float for one network, shape ``(n,)`` for a sequence.

        Raises:
            ConfigurationMismatch: If a graph has another precision than the predictor.
        """

    def predict(self, networks: Sequence[Network]) -> list[Prediction]:
        """Latency of each network and which part of it rests on measured layers."""


def as_graphs(networks: Sequence[Network], precision: Precision) -> list[Graph]:
    """Lower architectures; check that graphs have the precision.

    Raises:
        ConfigurationMismatch: If a graph has another precision.
    """
    graphs = []
    for network in networks:
        graph = network if isinstance(network, Graph) else lower(network, precision)
        if graph.precision != precision:
            raise ConfigurationMismatch(
                f"The predictor is for {precision}, but a graph is {graph.precision}. Lower it "
                f"with precision={precision!r} or use a predictor for {graph.precision}."
            )
        graphs.append(graph)
    return graphs
