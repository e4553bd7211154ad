"""Makes the report of a prediction: the milliseconds of each layer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnaslat.reports.page_data import ExplainedLayer, ExplainedNetwork, ReportPage
from mnaslat.reports.predictor_page import configuration_facts, made_facts

if TYPE_CHECKING:
    from mnaslat.predictors import Explanation, LayerCost
    from mnaslat.predictors.network_predictor import NetworkPredictor


def explanation_page(
    predictor: "NetworkPredictor", name: str, explained: "Sequence[tuple[str, Explanation]]"
) -> ReportPage:
    """The page of predictions by one predictor, each with the network's name."""
    return ReportPage(
        title=f"Predictions of {name}",
        headline=tuple(
            f"{network}: {explanation.latency_ms:.3g} ms on {predictor.configuration.device}."
            for network, explanation in explained
        ),
        facts=(*configuration_facts(predictor.configuration), *made_facts()),
        explained=tuple(_network(network, explanation) for network, explanation in explained),
    )


def _network(name: str, explanation: "Explanation") -> ExplainedNetwork:
    return ExplainedNetwork(
        name=name,
        latency_ms=explanation.latency_ms,
        coverage=explanation.coverage,
        layers=tuple(
            ExplainedLayer(
                place=layer.place,
                label=_label(layer),
                latency_ms=layer.latency_ms,
                measured=layer.source == "measured",
                low_ms=layer.low_ms,
                high_ms=layer.high_ms,
            )
            for layer in explanation.layers
        ),
    )


def _label(layer: "LayerCost") -> str:
    if not layer.unknown:
        return layer.label
    return f"{layer.label} (never measured: {', '.join(layer.unknown)})"
