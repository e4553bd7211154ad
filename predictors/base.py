"""The interface of a latency predictor, and checks that all predictors share."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, overload

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats
from mnaslat.data.measurement import Configuration
from mnaslat.errors import ConfigurationMismatch, PredictorFileError
from mnaslat.graph import Graph, Precision
from mnaslat.lowering import lower
from mnaslat.predictors.explanation import Explanation

Network = Architecture | Graph
StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Prediction:
    """A predicted latency, and the share of it that comes from measured layers."""

    latency_ms: float
    measured_share: float  # fraction of the latency; a model estimates the rest


class LatencyPredictor(Protocol):
    """The interface of every latency predictor."""

    @property
    def configuration(self) -> Configuration:
        """The device and settings whose latency is predicted."""

    def fit(self, graphs: Sequence[Any], latency_ms: Any) -> "LatencyPredictor":
        """Learn from measurements."""

    def predict(self, graphs: Sequence[Network]) -> Floats:
        """Predict latencies in milliseconds, shape ``(n,)``; scikit-learn calls this."""

    @overload
    def predict_ms(self, networks: Network) -> float: ...
    @overload
    def predict_ms(self, networks: Sequence[Network]) -> Floats: ...
    def predict_ms(self, networks: Network | Sequence[Network]) -> float | Floats:
        """Predict milliseconds: a float for one network, shape ``(n,)`` for a sequence.

        Raises:
            ConfigurationMismatch: If a graph has another precision than the predictor.
        """

    def predict_detailed(self, networks: Sequence[Network]) -> list[Prediction]:
        """Predict each latency, with the share of it that comes from measured layers."""

    def explain(self, network: Network, coverage: float = 0.9) -> Explanation:
        """Split a prediction by layer; the milliseconds of the layers add up to it."""


def as_graphs(networks: Sequence[Network], precision: Precision) -> list[Graph]:
    """Lower architectures to graphs, and check the precision of graphs.

    Raises:
        ConfigurationMismatch: If a graph has another precision.
        ValueError: If something is neither an architecture nor a graph.
    """
    graphs = []
    for network in networks:
        if isinstance(network, Architecture):
            network = _lowered(network, precision)
        elif not isinstance(network, Graph):
            raise ValueError(
                f"Networks are graphs or architectures, got a {type(network).__name__}. A torch "
                "module becomes one with mnaslat.graph_from_torch."
            )
        if network.precision != precision:
            raise ConfigurationMismatch(
                f"The predictor is for {precision}, but a graph is {network.precision}. Lower it "
                f"with precision={precision!r} or use a predictor for {network.precision}."
            )
        graphs.append(network)
    return graphs


@functools.lru_cache(maxsize=4096)
def _lowered(architecture: Architecture, precision: Precision) -> Graph:
    return lower(architecture, precision)


def checked_latency_ms(latency_ms: Sequence[float] | Floats, n: int, what: str) -> Floats:
    """Return measured latencies as an array of shape ``(n,)``, checked.

    Raises:
        ValueError: If there are not ``n`` or one is not a positive number.
    """
    checked = np.asarray(latency_ms, dtype=np.float64)
    if checked.shape != (n,):
        raise ValueError(
            f"{what} needs graphs with one latency each, got {n} graphs and latencies of shape "
            f"{checked.shape}."
        )
    bad = np.flatnonzero(~(np.isfinite(checked) & (checked > 0)))
    if bad.size:
        raise ValueError(
            f"Measured latencies must be positive milliseconds, got {checked[bad[0]]} at index "
            f"{bad[0]}. Leave out what could not be measured."
        )
    return checked


def checked_prediction_ms(predicted_ms: Floats) -> Floats:
    """Return predictions unchanged, shape ``(n,)``, after checking that they are finite.

    Raises:
        PredictorFileError: If one is not finite. The numbers of a damaged or forged file can each
            be in range and still give this together.
    """
    if not np.isfinite(predicted_ms).all():
        raise PredictorFileError(
            "The predictor gives no finite latency for a network: its numbers make no sense "
            "together. Get its file again from where it came, or calibrate again."
        )
    return predicted_ms


def renewed(
    graphs: Sequence[Graph], latency_ms: Floats, fresh: Sequence[Graph], fresh_ms: Floats
) -> tuple[list[Graph], list[float]]:
    """Join earlier and new measurements; each network appears once, with its latest latency."""
    pairs = [*zip(graphs, latency_ms, strict=True), *zip(fresh, fresh_ms, strict=True)]
    # By signature: a graph read from a file lacks the names that a lowered one has.
    known = {graph.signature: (graph, float(measured_ms)) for graph, measured_ms in pairs}
    return [graph for graph, _ in known.values()], [each for _, each in known.values()]


def check_coverage(coverage: float) -> None:
    """Check the coverage of an interval.

    Raises:
        ValueError: If coverage does not lie between 0 and 1.
    """
    if not 0.0 < coverage < 1.0:
        raise ValueError(f"coverage must lie between 0 and 1, got {coverage}.")
