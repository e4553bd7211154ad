"""Predicts the latency of networks, with an interval and what the prediction rests on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnaslat.predictors import CostModel
from mnaslat.predictors.base import Network, as_graphs, checked_prediction_ms
from mnaslat.predictors.explanation import Explanation
from mnaslat.predictors.known_operations import unmet_places
from mnaslat.predictors.network_predictor import NetworkPredictor
from mnaslat.workflow.arguments import check_arguments, check_networks
from mnaslat.workflow.progress import naming


@dataclass(frozen=True)
class PredictedNetwork:
    """The predicted latency of one network.

    Attributes:
        predicted_ms: In milliseconds.
        low_ms: Lower end of the 90 % interval; None where the predictor knows no interval.
        high_ms: Upper end of the interval; None likewise.
        measured_share: Fraction of the prediction that rests on measured layers.
        unknown: Place and name of each operation that was in no network that the predictor was
            fitted to.
        explanation: Milliseconds by layer, if they were asked for.
    """

    predicted_ms: float
    low_ms: float | None
    high_ms: float | None
    measured_share: float
    unknown: tuple[tuple[str, str], ...]
    explanation: Explanation | None = None

    def __repr__(self) -> str:
        """Show the latency and its interval."""
        interval = "" if self.low_ms is None else f", {self.low_ms:.4g} to {self.high_ms:.4g} ms"
        return (
            f"PredictedNetwork({self.predicted_ms:.4g} ms{interval}, "
            f"{self.measured_share:.0%} measured, {len(self.unknown)} unknown operations)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; the explanation only if there is one."""
        found: dict[str, Any] = {
            "predicted_ms": self.predicted_ms,
            "low_ms": self.low_ms,
            "high_ms": self.high_ms,
            "measured_share": self.measured_share,
            "n_unknown": len(self.unknown),
            "unknown": [{"place": place, "operation": name} for place, name in self.unknown],
        }
        if self.explanation is not None:
            explained = self.explanation.to_json()
            for layer in explained["layers"]:
                layer["share"] = layer["latency_ms"] / self.explanation.latency_ms
            found["explanation"] = explained
        return found


def predict_networks(
    predictor: NetworkPredictor, networks: Sequence[Network], *, explain: bool = False
) -> list[PredictedNetwork]:
    """Predict the latency of networks, with a 90 % interval.

    Args:
        predictor: Of the device.
        networks: Architectures, or graphs of the predictor's precision.
        explain: Whether to say how long each layer takes.

    Raises:
        ValueError: If what is given is no predictor or no list of networks.
        ConfigurationMismatch: If a graph has another precision than the predictor.
        PredictorFileError: If a prediction is no positive number: the file was forged.
    """
    check_arguments(predictor=predictor)
    check_networks(networks)
    return [_predicted(predictor, network, explain) for network in networks]


def is_from_layers(predictor: NetworkPredictor) -> bool:
    """Say whether predictions are sums of layers, of which some were measured."""
    return not isinstance(predictor, CostModel)


def _predicted(predictor: NetworkPredictor, network: Network, explain: bool) -> PredictedNetwork:
    with naming("networks"):
        (graph,) = as_graphs([network], predictor.configuration.precision)
    (prediction,) = predictor.predict_detailed([graph])
    checked_prediction_ms(np.array([prediction.latency_ms]))
    low_ms, high_ms = predictor.predict_interval_ms(network)
    known = math.isfinite(high_ms)
    return PredictedNetwork(
        predicted_ms=prediction.latency_ms,
        low_ms=low_ms if known else None,
        high_ms=high_ms if known else None,
        measured_share=prediction.measured_share,
        unknown=tuple(unmet_places(graph, predictor.met_operations)),
        explanation=predictor.explain(network) if explain else None,
    )
